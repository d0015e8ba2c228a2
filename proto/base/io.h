/* Files and descriptors: whole reads and writes, durable replacement, directories, locks.
 *
 * Condition: IO_E_NOT_FOUND. Everything else is an errno. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "proto/base/error.h"

enum {
	IO_E_NOT_FOUND = 1,
};

/* The whole file, NUL-terminated (the NUL does not count). -EFBIG above limit_bytes. ret_len may be NULL. Caller frees. */
int io_read_file(const char *path, size_t limit_bytes, char **ret_data, size_t *ret_len);
/* All of it, or an errno. Retries EINTR and short writes; for blocking descriptors. */
int io_write_all(int fd, const void *data, size_t len);
/* All of it, or an errno; -ENODATA on an early end of file. For blocking descriptors. */
int io_read_all(int fd, void *data, size_t len);
/* Temporary file beside it, fsync, rename, fsync of the directory: after a crash the old or the new, never half. */
int io_replace_file(const char *path, const void *data, size_t len, mode_t mode);
/* As io_replace_file but with link(): -EEXIST if there is one already, whoever wrote it. One winner. */
int io_create_file(const char *path, const void *data, size_t len, mode_t mode);
/* mkdir -p; mode for those it makes. An existing directory is well. */
int io_make_dirs(const char *path, mode_t mode);
/* Removes a file or a whole tree without following links or leaving the file system. Nothing there: 0. */
int io_remove_tree(const char *path);
int io_fsync_dir(const char *path);
/* Takes an exclusive flock on path (created 0600), CLOEXEC. -EWOULDBLOCK if held by another and !wait. Close to release. */
int io_lock(const char *path, bool wait, int *ret_fd);
int io_set_nonblock(int fd, bool on);
/* "a/b" from parts; never NULL but when out of memory. Caller frees. */
char *io_join(const char *dir, const char *name);
/* Absolute form of path against the working directory, without resolving links. Caller frees. */
int io_absolute(const char *path, char **ret_path);
