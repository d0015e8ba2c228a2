#include "tests/support/fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "proto/base/io.h"

char *fixture_dir_make(void)
{
	const char *parent = getenv("TMPDIR");
	char *dir = NULL, *real;

	if (asprintf(&dir, "%s/maestro-test-XXXXXX", parent ? parent : "/tmp") < 0 || !mkdtemp(dir))
		abort();
	real = realpath(dir, NULL);
	free(dir);
	if (!real)
		abort();
	return real;
}

void fixture_dir_remove(char *dir)
{
	io_remove_tree(dir);
	free(dir);
}

static const char prelude[] =
	"export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=Tester GIT_AUTHOR_EMAIL=tester@localhost "
	"GIT_COMMITTER_NAME=Tester GIT_COMMITTER_EMAIL=tester@localhost GIT_TERMINAL_PROMPT=0; "
	"git() { command git -c init.defaultBranch=main -c advice.detachedHead=false -c protocol.file.allow=always \"$@\"; }; ";

static FILE *start(const char *dir, const char *format, va_list args)
{
	char *body = NULL, *line = NULL;
	FILE *pipe;

	if (vasprintf(&body, format, args) < 0 || asprintf(&line, "cd '%s' && { %s%s\n}", dir, prelude, body) < 0)
		abort();
	pipe = popen(line, "re");
	free(body);
	free(line);
	if (!pipe)
		abort();
	return pipe;
}

static char *finish(FILE *pipe, int *ret_status)
{
	char *text = calloc(1, 65536);
	size_t len = text ? fread(text, 1, 65535, pipe) : 0;
	int status = pclose(pipe);

	while (len && text[len - 1] == '\n')
		text[--len] = 0;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	return text;
}

int fixture_shell(const char *dir, const char *format, ...)
{
	va_list args;
	FILE *pipe;
	int status;

	va_start(args, format);
	pipe = start(dir, format, args);
	va_end(args);
	free(finish(pipe, &status));
	return status;
}

char *fixture_output(const char *dir, const char *format, ...)
{
	va_list args;
	FILE *pipe;
	char *text;
	int status;

	va_start(args, format);
	pipe = start(dir, format, args);
	va_end(args);
	text = finish(pipe, &status);
	if (!text || status)
		abort();
	return text;
}
