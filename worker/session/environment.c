#include "worker/session/environment.h"

#include <stdio.h>
#include <string.h>

static const char *const passed[] = {
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE",
	"LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME",
};

static const char *const ours[] = {
	"TERM=xterm-256color",
	"COLORTERM=truecolor",
	"TERM_PROGRAM=maestro",
	"TERM_PROGRAM_VERSION=" MAESTRO_VERSION,
};

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The length of "KEY=", 0 if there is no name. */
static size_t name_length(const char *entry)
{
	const char *equals = strchr(entry, '=');

	return equals && equals != entry ? (size_t)(equals - entry) + 1 : 0;
}

/* Replaces an entry of the same name, or adds one: there is room for all. */
static int put(char **environment, const char *entry)
{
	size_t len = name_length(entry), i;
	char *copy;

	if (!len)
		return 0;
	copy = strdup(entry);
	if (!copy)
		return -ENOMEM;
	for (i = 0; environment[i]; i++)
		if (strncmp(environment[i], entry, len) == 0)
			break;
	free(environment[i]);
	environment[i] = copy;
	return 0;
}

static int put_passed(char **environment, const char *const *from)
{
	int r = put(environment, DEFAULT_PATH);

	for (; !r && *from; from++)
		for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
			if (name_length(*from) == strlen(passed[i]) + 1 && strncmp(*from, passed[i], strlen(passed[i])) == 0)
				r = put(environment, *from);
	return r;
}

DEFINE_CLEANUP(char **, environment_free)

int environment_make(const char *const *from, const char *const *additions, size_t count, char ***ret_environment)
{
	_cleanup_(environment_free_p) char **environment = NULL;
	int r;

	environment = calloc(1 + ARRAY_SIZE(passed) + ARRAY_SIZE(ours) + count + 1, sizeof(*environment));
	if (!environment)
		return -ENOMEM;
	r = put_passed(environment, from);
	for (size_t i = 0; !r && i < ARRAY_SIZE(ours); i++)
		r = put(environment, ours[i]);
	for (size_t i = 0; !r && i < count; i++)
		r = put(environment, additions[i]);
	if (r)
		return r;
	*ret_environment = take(environment);
	return 0;
}

void environment_free(char **environment)
{
	if (!environment)
		return;
	for (size_t i = 0; environment[i]; i++)
		free(environment[i]);
	free(environment);
}
