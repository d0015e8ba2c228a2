#include "proto/wire/install.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum place { PLACE_BIN, PLACE_LIBEXEC, PLACE_DATA };

static const struct {
	const char *variable, *relative, *built_in;
} places[] = {
	[PLACE_BIN] = { "MAESTRO_BIN", "bin", MAESTRO_BINDIR },
	[PLACE_LIBEXEC] = { "MAESTRO_LIBEXEC", "libexec/maestro", MAESTRO_LIBEXECDIR },
	[PLACE_DATA] = { "MAESTRO_DATA", "share/maestro", MAESTRO_DATADIR },
};

/* PREFIX of PREFIX/bin/program or PREFIX/libexec/maestro/program; -ENOENT for a program elsewhere (a build tree). */
static int own_prefix(char *prefix, size_t size)
{
	static const char *const below[] = { "/bin", "/libexec/maestro" };
	ssize_t n = readlink("/proc/self/exe", prefix, size - 1);
	char *slash;

	if (n < 0)
		return -errno;
	prefix[n] = 0;
	slash = strrchr(prefix, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		size_t len = strlen(prefix), tail = strlen(below[i]);

		if (len > tail && strcmp(prefix + len - tail, below[i]) == 0) {
			prefix[len - tail] = 0;
			return 0;
		}
	}
	return -ENOENT;
}

static int try_dir(const char *dir, const char *name, int mode, char **ret_path)
{
	_cleanup_free_ char *path = io_join(dir, name);

	if (!path)
		return -ENOMEM;
	if (access(path, mode) < 0)
		return IO_E_NOT_FOUND;
	*ret_path = take(path);
	return 0;
}

static int find(enum place place, const char *name, int mode, char **ret_path, struct error *error)
{
	const char *dir = getenv(places[place].variable);
	char prefix[PATH_MAX];
	int r = IO_E_NOT_FOUND;

	if (dir && dir[0] == '/')
		r = try_dir(dir, name, mode, ret_path);
	if (r == IO_E_NOT_FOUND && own_prefix(prefix, sizeof(prefix)) == 0) {
		_cleanup_free_ char *relative = io_join(prefix, places[place].relative);

		r = relative ? try_dir(relative, name, mode, ret_path) : -ENOMEM;
	}
	if (r == IO_E_NOT_FOUND)
		r = try_dir(places[place].built_in, name, mode, ret_path);
	if (r == IO_E_NOT_FOUND) {
		error_set(error, r, "%s is not installed (looked in %s)", name, places[place].built_in);
		error_hint(error, "install Maestro whole, or set %s to its directory", places[place].variable);
	}
	return r;
}

int install_libexec(const char *program, char **ret_path, struct error *error)
{
	return find(PLACE_LIBEXEC, program, X_OK, ret_path, error);
}

int install_bin(const char *program, char **ret_path, struct error *error)
{
	return find(PLACE_BIN, program, X_OK, ret_path, error);
}

int install_data(const char *name, char **ret_path, struct error *error)
{
	return find(PLACE_DATA, name, R_OK, ret_path, error);
}
