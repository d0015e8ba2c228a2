/* Finds the other programs and data files of this installation, wherever it was put.
 *
 * Order: MAESTRO_BIN, MAESTRO_LIBEXEC, MAESTRO_DATA (a directory each; for tests and packagers), then relative to this program's own file
 * (PREFIX/bin/x -> PREFIX/libexec/maestro, PREFIX/share/maestro; also from libexec itself), then the prefix of the
 * build. Condition: IO_E_NOT_FOUND with a sentence. Caller frees. */
#pragma once

#include "proto/base/error.h"
#include "proto/base/io.h"

/* "maestro-session" -> absolute path of an executable file in libexec. */
int install_libexec(const char *program, char **ret_path, struct error *error);
/* "maestro-worker" -> absolute path of an executable file in bin. */
int install_bin(const char *program, char **ret_path, struct error *error);
/* "agents" -> absolute path of a file or directory under share/maestro. */
int install_data(const char *name, char **ret_path, struct error *error);
