/* Git jobs that are done, push grants, and what the branch is worth. */
#include "worker/core/internal.h"

#include <stdio.h>
#include <string.h>
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

/* "push: WHY (HINT)". */
static char *result_text(const char *what, const Maestro__GitResult *result, char *text, size_t size)
{
	int why_len = result->has_why ? (int)result->why.len : 0;
	int hint_len = result->has_hint ? (int)result->hint.len : 0;

	snprintf(text, size, "%s: %.*s%s%.*s%s", what, why_len ? why_len : 19,
		why_len ? (const char *)result->why.data : "maestro-git failed ", hint_len ? " (" : "", hint_len,
		hint_len ? (const char *)result->hint.data : "", hint_len ? ")" : "");
	return text;
}

/* It went well, and this is its answer. */
static bool has(const Maestro__GitResult *result, Maestro__GitResult__ResultCase which)
{
	return result->code == MAESTRO__GIT_CODE__GIT_OK && result->result_case == which;
}

/* What was to be published could not be. In review the last push stands; before it the attempt has failed. */
static void publish_failed(struct turn *turn, struct attempt *attempt, const char *reason)
{
	attempt->publish = false;
	if (attempt->state == ATTEMPT_OVER) {
		turn_report(turn, attempt, attempt->phase, reason);
		turn_advance(turn, attempt);
		return;
	}
	if (attempt->pushed_commit && !attempt->exited) {
		turn_report(turn, attempt, MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED, reason);
		turn_advance(turn, attempt);
		return;
	}
	turn_fail(turn, attempt, "%s", reason);
	turn_advance(turn, attempt);
}

void turn_ask(struct turn *turn, struct attempt *attempt)
{
	attempt->work = WORK_ASK;
	attempt->asked_ms = turn->now->boot_ms;
	if (turn->core->ready)
		turn_effect(turn, EFFECT_ASK, attempt);
}

void attempt_handle_granted(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	Maestro__JournalGrant grant = MAESTRO__JOURNAL_GRANT__INIT;

	if (attempt->work != WORK_ASK)
		return;
	attempt->lease_until_ms = attempt->asked_ms + event->granted.lease_ms;
	if (turn->now->boot_ms >= attempt->lease_until_ms) {
		turn_ask(turn, attempt); /* it was on its way for too long, or this machine slept */
		return;
	}
	if (replace_string(&attempt->suffix, event->granted.suffix))
		turn->effects->failed = true;
	grant.commit = attempt->tip;
	grant.last_pushed = (char *)(uintptr_t)event->granted.last_pushed;
	turn_put(turn, attempt, RECORD(GRANT, grant = &grant));
	turn_work(turn, attempt, WORK_PUSH);
}

void attempt_handle_grant_refused(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	char reason[LIMIT_REASON_BYTES];

	if (attempt->work != WORK_ASK || event->grant_refused.later)
		return; /* asked again by the next tick */
	attempt->work = WORK_NONE;
	snprintf(reason, sizeof(reason), "push: %s", event->grant_refused.why);
	publish_failed(turn, attempt, reason);
}

static void prepare_done(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	const Maestro__GitResult *result = event->git.result;
	Maestro__JournalPrepared prepared = MAESTRO__JOURNAL_PREPARED__INIT;
	char reason[LIMIT_REASON_BYTES];

	if (has(result, MAESTRO__GIT_RESULT__RESULT_PREPARED)) {
		prepared.base_commit = result->prepared->base_commit;
		prepared.head = result->prepared->head;
		turn_put(turn, attempt, RECORD(PREPARED, prepared = &prepared));
	} else if (!attempt->stop && !attempt->stale) {
		attempt->retryable = result->code == MAESTRO__GIT_CODE__GIT_UNREACHABLE;
		turn_fail(turn, attempt, "%s", result_text("worktree", result, reason, sizeof(reason)));
	}
	if (attempt->state == ATTEMPT_STARTING && !attempt->stop && !attempt->stale && !attempt->reason) {
		turn_effect(turn, EFFECT_SPAWN, attempt);
		return;
	}
	turn_finish(turn, attempt);
	turn_advance(turn, attempt);
}

#define LEFT_OUT_NAMED_MAX 5u
#define LEFT_OUT_NAME_BYTES_MAX 160u

/* Where a text may be cut: never within a character. */
static size_t cut(const ProtobufCBinaryData *text, size_t max)
{
	size_t len = text->len;

	if (len <= max)
		return len;
	for (len = max; len && (text->data[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

/* "left out of the commit: a (WHY), b (WHY) and 3 more"; NULL: nothing was. */
static int left_out_text(const Maestro__GitCommitted *committed, char **ret_text)
{
	_cleanup_(buf_deinit) struct buf text = BUF_LIMIT(LIMIT_REASON_BYTES);
	size_t named = committed->n_skipped < LEFT_OUT_NAMED_MAX ? committed->n_skipped : LEFT_OUT_NAMED_MAX;
	size_t more = committed->n_skipped - named + committed->skipped_more;
	int r = 0;

	*ret_text = NULL;
	for (size_t i = 0; !r && i < named; i++) {
		const ProtobufCBinaryData *item = &committed->skipped[i];
		size_t len = cut(item, LEFT_OUT_NAME_BYTES_MAX);

		r = buf_printf(&text, "%s%.*s%s", i ? ", " : "left out of the commit: ", (int)len, (const char *)item->data,
			len < item->len ? "…" : "");
	}
	if (!r && named && more)
		r = buf_printf(&text, " and %zu more", more);
	if (!r && named)
		*ret_text = buf_take(&text);
	return r || (named && !*ret_text) ? -ENOMEM : 0;
}

/* Keeps what was left out; true if that is something else than what was told last. */
static bool note_left_out(struct turn *turn, struct attempt *attempt, const Maestro__GitCommitted *committed)
{
	_cleanup_free_ char *text = NULL;
	bool same;

	if (left_out_text(committed, &text)) {
		turn->effects->failed = true;
		return false;
	}
	same = text && attempt->left_out ? !strcmp(text, attempt->left_out) : text == attempt->left_out;
	free(attempt->left_out);
	attempt->left_out = take(text);
	return !same;
}

/* Nothing new to push. Of what was pushed before it may still be told that something was left out since. */
static void nothing_to_push(struct turn *turn, struct attempt *attempt, bool left_out_changed)
{
	attempt->publish = false;
	attempt->settled = attempt->work_final;
	if (attempt->pushed_commit && left_out_changed)
		turn_report(turn, attempt, MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED, attempt->left_out);
	turn_advance(turn, attempt);
}

static void commit_done(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	const Maestro__GitResult *result = event->git.result;
	const Maestro__GitCommitted *committed;
	char reason[LIMIT_REASON_BYTES];
	bool left_out_changed;

	if (!has(result, MAESTRO__GIT_RESULT__RESULT_COMMITTED)) {
		publish_failed(turn, attempt, result_text("commit", result, reason, sizeof(reason)));
		return;
	}
	committed = result->committed;
	if (attempt->state != ATTEMPT_OVER && (attempt->stop || attempt->stale)) {
		turn_advance(turn, attempt); /* told to stop meanwhile: nothing is published */
		return;
	}
	left_out_changed = note_left_out(turn, attempt, committed);
	if (!committed->ahead || (attempt->pushed_commit && !strcmp(attempt->pushed_commit, committed->head))) {
		nothing_to_push(turn, attempt, left_out_changed);
		return;
	}
	if (replace_string(&attempt->tip, committed->head))
		turn->effects->failed = true;
	attempt->ahead = committed->ahead;
	turn_ask(turn, attempt);
}

static void push_done(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	const Maestro__GitResult *result = event->git.result;
	Maestro__JournalPushed pushed = MAESTRO__JOURNAL_PUSHED__INIT;
	char reason[LIMIT_REASON_BYTES];

	if (event->git.expired) {
		turn_ask(turn, attempt);
		return;
	}
	if (!has(result, MAESTRO__GIT_RESULT__RESULT_PUSHED)) {
		publish_failed(turn, attempt, result_text("push", result, reason, sizeof(reason)));
		return;
	}
	pushed.commit = result->pushed->commit;
	pushed.branch = result->pushed->branch;
	pushed.has_ahead = true;
	pushed.ahead = attempt->ahead;
	turn_pushed(turn, attempt, &pushed);
	attempt->publish = false;
	attempt->settled = attempt->work_final;
	attempt->activity_ms = turn->now->boot_ms; /* `linger` counts from here */
	turn_advance(turn, attempt);
}

/* A checkpoint that fails must not keep a session from ending. */
static void checkpoint_done(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	Maestro__JournalEnding ending = MAESTRO__JOURNAL_ENDING__INIT;

	ending.has_checkpointed = ending.checkpointed = true;
	turn_ending(turn, attempt, ending);
	turn_advance(turn, attempt);
}

static void remove_done(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	const Maestro__GitResult *result = event->git.result;
	_cleanup_free_ char *why = NULL, *hint = NULL;

	if (result->code == MAESTRO__GIT_CODE__GIT_OK) {
		turn_released(turn, attempt, true);
		return;
	}
	attempt->release.wanted = false;
	why = bytes_dup(&result->why);
	hint = result->has_hint ? bytes_dup(&result->hint) : NULL;
	turn_reply(turn, attempt, attempt->release.request, why && *why ? why : "the worktree cannot be removed", hint);
}

static void (*const done[WORK_COUNT])(struct turn *turn, struct attempt *attempt, const struct event *event) = {
	[WORK_PREPARE] = prepare_done,
	[WORK_COMMIT] = commit_done,
	[WORK_PUSH] = push_done,
	[WORK_CHECKPOINT] = checkpoint_done,
	[WORK_REMOVE] = remove_done,
};

void attempt_handle_git_done(struct turn *turn, struct attempt *attempt, const struct event *event)
{
	enum work work = event->git.work;

	if (attempt->work != work || !done[work])
		return;
	attempt->work = WORK_NONE;
	done[work](turn, attempt, event);
}
