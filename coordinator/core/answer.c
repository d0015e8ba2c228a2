#include "coordinator/core/internal.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void reply_done(struct core_effects *fx, const struct core_client *client, const char *format, ...)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	done.has_text = text && *text;
	done.text = bytes_of(text);
	envelope.body_case = BODY(DONE);
	envelope.done = &done;
	effect_reply(fx, client->id, client->request, &envelope);
}

void reply_failure(struct core_effects *fx, const struct core_client *client, Maestro__FailureCode code,
	const char *what, const char *hint, const char *format, ...)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;
	_cleanup_free_ char *why = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&why, format, args) < 0)
		why = NULL;
	va_end(args);
	failure.code = code;
	failure.has_what = what != NULL;
	failure.what = bytes_of(what);
	failure.has_why = true;
	failure.why = bytes_of(why);
	failure.has_hint = hint != NULL;
	failure.hint = bytes_of(hint);
	envelope.body_case = BODY(FAILURE);
	envelope.failure = &failure;
	effect_reply(fx, client->id, client->request, &envelope);
}

void reply_no_task(struct core_effects *fx, const struct core_client *client, uint64_t task)
{
	char what[40];

	snprintf(what, sizeof(what), "task %" PRIu64, task);
	reply_failure(fx, client, MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, what, "`maestro ls --all` lists them",
		"there is no such task");
}
