/* Questions that only an admin can decide: asked once, kept, and answered once. A row is written before anybody hears of
 * it, and the answer's row, its audit line and what follows from it are of one transaction. The answer stays, since what
 * it is about may come again: a worker that was away, a restart. Kinds and choices are the table below. */
#include "coordinator/core/internal.h"
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHOICES_MAX 4u

static const struct choice {
	const char *name, *text;
	/* Settles the question and does what follows. False: refused, and the person was told. */
	bool (*apply)(struct core *core, struct core_effects *fx, struct question *question, const struct core_event *event);
} choices[QUESTION_KIND_COUNT][CHOICES_MAX] = {
	[QUESTION_RESTORED] = {
		{ "accept", "go on with this database: submits are taken again, ids go on above everything that workers show, and "
			"each live session that it does not know is asked about", restore_accept },
		{ "accept-end", "the same, but every session that it does not know is ended after a checkpoint; its worktree stays",
			restore_accept_end },
	},
	[QUESTION_SESSION] = {
		{ "adopt", "it becomes a task of this coordinator, and goes on", stranger_adopt },
		{ "end", "a checkpoint is made, then it is ended; its worktree stays", stranger_end },
		{ "keep", "it is left running, and not asked about again", stranger_keep },
	},
};

static const char *const kind_names[QUESTION_KIND_COUNT] = {
	[QUESTION_RESTORED] = "restored",
	[QUESTION_SESSION] = "unknown-session",
};

static const struct choice *choices_of(const struct question *question)
{
	for (size_t i = 0; i < QUESTION_KIND_COUNT; i++)
		if (strcmp(kind_names[i], question->row.kind) == 0)
			return choices[i];
	return NULL; /* of a newer coordinator: shown, and not answered here */
}

static struct question *find_question(const struct core *core, uint64_t id)
{
	struct question *question;

	HASH_FIND(hh, core->questions, &id, sizeof(id), question);
	return question;
}

struct question *question_find_open(const struct core *core, enum question_kind kind)
{
	for (struct question *q = core->questions; q; q = q->hh.next)
		if (!q->row.answer && strcmp(q->row.kind, kind_names[kind]) == 0)
			return q;
	return NULL;
}

struct question *question_find_run(const struct core *core, const uint8_t run_id[16])
{
	for (struct question *q = core->questions; q; q = q->hh.next)
		if (q->row.run_id.len == 16 && memcmp(q->row.run_id.data, run_id, 16) == 0)
			return q;
	return NULL;
}

const char *question_hint(const struct core *core, enum question_kind kind, char *text, size_t size)
{
	const struct question *question = question_find_open(core, kind);

	text[0] = 0;
	if (question)
		snprintf(text, size, " (maestro question answer %" PRIu64 " %s)", question->row.id, choices[kind][0].name);
	return text;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void question_free(struct question *question)
{
	row_deinit(ROW_QUESTION, &question->row);
	free(question->actor);
	free(question);
}

void questions_deinit(struct core *core)
{
	struct question *question, *next;

	HASH_ITER (hh, core->questions, question, next) {
		HASH_DEL(core->questions, question);
		question_free(question);
	}
	free(core->gaps);
}

int question_load(struct core *core, struct question_row *row)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question) {
		row_free(ROW_QUESTION, row);
		return -ENOMEM;
	}
	question->row = *row;
	free(row);
	HASH_ADD(hh, core->questions, row.id, sizeof(question->row.id), question);
	if (question->row.id >= core->next_question)
		core->next_question = question->row.id + 1;
	if (!question->row.answer && strcmp(question->row.kind, kind_names[QUESTION_RESTORED]) == 0)
		core->question = true;
	return 0;
}

static void announce(struct core *core, struct core_effects *fx, const struct question *question)
{
	char text[640];

	snprintf(text, sizeof(text), "question %" PRIu64 ": %s; answer it: maestro question show %" PRIu64, question->row.id,
		str_or(question->row.text, ""), question->row.id);
	record_event(core, fx, "cluster.question", NULL, question->row.worker, text);
	effect_changed_question(fx, question->row.id);
	if (question->row.worker)
		effect_changed_worker(fx, question->row.worker);
}

struct question *question_ask(struct core *core, struct core_effects *fx, enum question_kind kind,
	const struct worker *worker, const struct inventory_entry *entry, const char *text)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question) {
		fx->error = -ENOMEM;
		return NULL;
	}
	question->row.id = core->next_question++;
	question->row.asked_ms = core->wall_ms;
	set_text(fx, &question->row.kind, kind_names[kind]);
	set_text(fx, &question->row.text, text);
	set_text(fx, &question->row.worker, worker->row.name);
	if (entry) {
		question->row.task = entry->task;
		question->row.attempt = entry->attempt;
		if (row_set_blob(&question->row.run_id, entry->run_id, sizeof(entry->run_id)))
			fx->error = -ENOMEM;
	}
	HASH_ADD(hh, core->questions, row.id, sizeof(question->row.id), question);
	effect_put(fx, ROW_QUESTION, &question->row);
	announce(core, fx, question);
	return question;
}

void question_settle(struct core *core, struct core_effects *fx, struct question *question, const char *answer,
	const char *actor)
{
	char text[96];

	set_text(fx, &question->row.answer, answer);
	set_text(fx, &question->row.actor, str_or(actor, "coordinator"));
	question->row.answered_ms = core->wall_ms;
	effect_put(fx, ROW_QUESTION, &question->row);
	record_audit(core, fx, "question answer", "question=%" PRIu64 " %s answer=%s", question->row.id, question->row.kind,
		answer);
	snprintf(text, sizeof(text), "question %" PRIu64 ": %s", question->row.id, answer);
	record_event(core, fx, "cluster.answer", NULL, question->row.worker, text);
	effect_changed_question(fx, question->row.id);
	if (question->row.worker)
		effect_changed_worker(fx, question->row.worker);
}

/* --- answering ------------------------------------------------------------------------------------------------ */

static void refuse_answered(struct core_effects *fx, const struct core_event *event, const struct question *question,
	const char *what)
{
	if (strcmp(question->row.answer, event->answer->choice) == 0) /* the same request again */
		reply_done(fx, &event->client, "question %" PRIu64 " was answered so: %s", question->row.id, question->row.answer);
	else
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_FAILED, what, NULL,
			"it was answered already, with %s, by %s", question->row.answer, str_or(question->row.actor, "nobody"));
}

static void refuse_choice(struct core_effects *fx, const struct core_event *event, const struct question *question,
	const char *what)
{
	_cleanup_(buf_deinit) struct buf names = BUF_NULL;
	const struct choice *choice = choices_of(question);

	for (size_t i = 0; choice && i < CHOICES_MAX && choice[i].name; i++)
		buf_printf(&names, "%s%s", i ? ", " : "choose one of: ", choice[i].name);
	reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_USAGE, what, buf_text(&names), "there is no such choice");
}

void handle_answer_question(struct core *core, const struct core_event *event, struct core_effects *fx)
{
	struct question *question = find_question(core, event->answer->question);
	const struct choice *choice = question ? choices_of(question) : NULL;
	char what[48];

	snprintf(what, sizeof(what), "question %" PRIu64, event->answer->question);
	if (!question) {
		reply_failure(fx, &event->client, MAESTRO__FAILURE_CODE__FAILURE_NOT_FOUND, what, "`maestro question ls --all` lists them",
			"there is no such question");
		return;
	}
	if (question->row.answer) {
		refuse_answered(fx, event, question, what);
		return;
	}
	for (size_t i = 0; choice && i < CHOICES_MAX && choice[i].name; i++) {
		if (strcmp(choice[i].name, event->answer->choice) != 0)
			continue;
		choice[i].apply(core, fx, question, event);
		return;
	}
	refuse_choice(fx, event, question, what);
}

/* --- looking -------------------------------------------------------------------------------------------------- */

static void view_choices(const struct question *question, Maestro__QuestionChoice *list,
	Maestro__QuestionChoice **pointers, Maestro__Question *view)
{
	const struct choice *choice = question->row.answer ? NULL : choices_of(question);

	view->choices = pointers;
	for (size_t i = 0; choice && i < CHOICES_MAX && choice[i].name; i++) {
		maestro__question_choice__init(&list[i]);
		list[i].name = (char *)(uintptr_t)choice[i].name;
		list[i].has_text = true;
		list[i].text = bytes_of(choice[i].text);
		pointers[view->n_choices++] = &list[i];
	}
}

Maestro__Question *core_view_question(const struct core *core, uint64_t id)
{
	const struct question *question = find_question(core, id);
	Maestro__QuestionChoice list[CHOICES_MAX], *pointers[CHOICES_MAX];
	Maestro__Question view = MAESTRO__QUESTION__INIT;

	if (!question)
		return NULL;
	view.id = id;
	view.kind = question->row.kind;
	view.worker = question->row.worker;
	view.has_task = view.has_attempt = question->row.task != 0;
	view.task = question->row.task;
	view.attempt = question->row.attempt;
	view.has_text = question->row.text != NULL;
	view.text = bytes_of(question->row.text);
	view_choices(question, list, pointers, &view);
	view.has_asked_ms = true;
	view.asked_ms = question->row.asked_ms;
	view.answer = question->row.answer;
	view.has_actor = question->row.actor != NULL;
	view.actor = bytes_of(question->row.actor);
	view.has_answered_ms = question->row.answered_ms != 0;
	view.answered_ms = question->row.answered_ms;
	return message_copy(&view);
}

void core_each_question(const struct core *core, bool only_open, void (*each)(uint64_t question, void *userdata),
	void *userdata)
{
	for (const struct question *q = core->questions; q; q = q->hh.next)
		if (!only_open || !q->row.answer)
			each(q->row.id, userdata);
}
