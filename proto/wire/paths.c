#include "proto/wire/paths.h"
#include "proto/base/io.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static char *format_path(const char *format, const char *a, const char *b)
{
	char *path = NULL;

	if (asprintf(&path, format, a, b) < 0)
		return NULL;
	return path;
}

/* $XDG_… if it is absolute (others are to be ignored, says the specification), else HOME/fallback. */
static char *xdg(const char *variable, const char *home, const char *fallback)
{
	const char *value = getenv(variable);

	if (value && value[0] == '/')
		return format_path("%s/maestro%s", value, "");
	return format_path("%s/%s/maestro", home, fallback);
}

static int set_all(struct paths *paths, char *config, char *state, char *run)
{
	*paths = (struct paths){ config, state, run };
	if (config && state && run)
		return 0;
	paths_deinit(paths);
	return -ENOMEM;
}

int paths_init(struct paths *paths, bool system, struct error *error)
{
	const char *base = getenv("MAESTRO_HOME"), *home = getenv("HOME");
	_cleanup_free_ char *absolute = NULL;
	char *run, *state;
	int r;

	*paths = (struct paths){ NULL, NULL, NULL };
	if (base && *base) {
		r = io_absolute(base, &absolute);
		if (r)
			return error_set(error, r, "MAESTRO_HOME=%s: %s", base, strerror(-r));
		return set_all(paths, io_join(absolute, "config"), io_join(absolute, "state"), io_join(absolute, "run"));
	}
	if (system)
		return set_all(paths, strdup("/etc/maestro"), strdup("/var/lib/maestro"), strdup("/run/maestro"));
	if (!home || home[0] != '/') {
		error_set(error, -ENOENT, "HOME is not set, so there is no place for Maestro's state");
		error_hint(error, "set HOME, or MAESTRO_HOME to a directory of its own");
		return -ENOENT;
	}
	state = xdg("XDG_STATE_HOME", home, ".local/state");
	if (getenv("XDG_RUNTIME_DIR") && getenv("XDG_RUNTIME_DIR")[0] == '/')
		run = xdg("XDG_RUNTIME_DIR", home, "");
	else
		run = state ? io_join(state, "run") : NULL; /* no login session: state outlives it and is private too */
	return set_all(paths, xdg("XDG_CONFIG_HOME", home, ".config"), state, run);
}

void paths_deinit(struct paths *paths)
{
	free(paths->config);
	free(paths->state);
	free(paths->run);
	*paths = (struct paths){ NULL, NULL, NULL };
}

char *paths_coordinator_url(const struct paths *paths)
{
	return format_path("ipc://%s/%s", paths->run, "coordinator.sock");
}

char *paths_coordinator_state(const struct paths *paths)
{
	return io_join(paths->state, "coordinator");
}

char *paths_worker_state(const struct paths *paths, const char *worker)
{
	return format_path("%s/workers/%s", paths->state, worker);
}

int paths_check_socket(const char *path, struct error *error)
{
	if (strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path))
		return 0;
	error_set(error, -ENAMETOOLONG, "%s: a socket's path may have %zu bytes, this one has %zu", path,
		sizeof(((struct sockaddr_un *)0)->sun_path) - 1, strlen(path));
	error_hint(error, "set MAESTRO_HOME to a shorter directory");
	return -ENAMETOOLONG;
}
