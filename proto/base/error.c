#include "proto/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_deinit(struct error *error)
{
	free(error->why);
	free(error->hint);
	*error = ERROR_NULL;
}

static char *format_text(const char *format, va_list args)
{
	char *text = NULL;

	return vasprintf(&text, format, args) < 0 ? NULL : text;
}

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list args;
	char *text;

	if (!error)
		return code;
	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	error_deinit(error);
	error->why = text;
	return code;
}

void error_hint(struct error *error, const char *format, ...)
{
	va_list args;

	if (!error)
		return;
	free(error->hint);
	va_start(args, format);
	error->hint = format_text(format, args);
	va_end(args);
}

void error_prefix(struct error *error, const char *format, ...)
{
	_cleanup_free_ char *prefix = NULL;
	char *text = NULL;
	va_list args;

	if (!error || !error->why)
		return;
	va_start(args, format);
	prefix = format_text(format, args);
	va_end(args);
	if (!prefix || asprintf(&text, "%s: %s", prefix, error->why) < 0)
		return;
	free(error->why);
	error->why = text;
}

const char *error_text(const struct error *error, int code)
{
	if (error && error->why)
		return error->why;
	return code < 0 ? strerrordesc_np(-code) : "unexpected condition";
}

void require_failed(const char *expression, const char *file, int line)
{
	fprintf(stderr, "maestro: internal error: %s:%d: %s\n", file, line, expression);
	abort();
}
