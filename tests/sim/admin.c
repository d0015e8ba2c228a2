/* An admin, who looks now and then and answers what is asked: with any of the choices, at times a second time or the
 * other way round, over a connection that may be cut before he hears that it was taken. And what is promised of it: a
 * question is answered once, an answer that he was told of stays, and what a restored database cannot know is asked. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <string.h>

static const char *const choices[] = { "accept", "accept-end", "adopt", "end", "keep" };

#define UNHEARD_MS 60000u

static const struct question_row *question_row(const struct world *world, uint64_t id)
{
	struct question_row key = { .id = id };

	return coordinator_row(world, ROW_QUESTION, &key);
}

bool asked_about(const struct world *world, const struct row_blob *run_id)
{
	for (size_t i = 0; i < world->row_count[ROW_QUESTION]; i++) {
		const struct question_row *row = world->rows[ROW_QUESTION][i];

		if (row && row->run_id.len == 16 && run_id->len == 16 && !memcmp(row->run_id.data, run_id->data, 16))
			return true;
	}
	return false;
}

/* --- what he does ------------------------------------------------------------------------------------------------ */

static size_t number_of(const char *choice)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(choices) - 1 && strcmp(choices[i], choice) != 0)
		i++;
	return i;
}

static void give(struct world *world, struct action *action)
{
	Maestro__AnswerQuestion message = MAESTRO__ANSWER_QUESTION__INIT;
	struct core_event event = { .type = CORE_EVENT_ANSWER_QUESTION, .answer = &message, .client = { .actor = "admin" } };

	message.question = action->task;
	message.choice = (char *)(uintptr_t)choices[action->number];
	event.client.id = CLIENT_ID(action->not_after_ms, CLIENT_ADMIN);
	event.client.request = action->task * ARRAY_SIZE(choices) + (uint64_t)action->number;
	tell(world, "the admin answers question %" PRIu64 " with %s", action->task, message.choice);
	coordinator_event(world, &event);
}

static void answer(struct world *world, const Maestro__Question *question)
{
	size_t times = chance(world, 8) ? 1 : 2;

	while (times-- && question->n_choices) {
		struct action *action = client_later(world, chance(world, times ? 5000 : 50), give);

		action->task = question->id;
		action->number = (int)number_of(question->choices[chance(world, question->n_choices)]->name);
		action->not_after_ms = world->admin_conn;
	}
	if (fault(world, 4))
		world->admin_conn++; /* it is cut */
}

static void consider(uint64_t id, void *userdata)
{
	struct world *world = userdata;
	Maestro__Question *question = core_view_question(world->core, id);

	require(question);
	if (!world->faults || chance(world, 3))
		answer(world, question);
	maestro__question__free_unpacked(question, NULL);
}

/* Or he starts it anew with the answer on its command line. */
static void accept_at_start(struct world *world)
{
	struct core_event event = { .type = CORE_EVENT_RESTORED, .client = { .actor = "admin" } };

	tell(world, "the admin says that the restored database is the truth");
	coordinator_event(world, &event);
	coordinator_flush(world);
}

static void look(struct world *world, struct action *action)
{
	client_later(world, 10000 + chance(world, 60000), look);
	if (!world->core)
		return;
	coordinator_flush(world); /* what is shown is committed */
	if (world->core && core_restore_asked(world->core) && chance(world, 6) == 0)
		accept_at_start(world);
	else if (world->core)
		core_each_question(world->core, true, consider, world);
	if (world->restored && chance(world, 20) == 0)
		world->force_epoch = true; /* workers are started with --accept-epoch */
}

void admin_begin(struct world *world)
{
	client_later(world, 10000, look);
}

void admin_reply(struct world *world, uint64_t conn, uint64_t request, const Maestro__Envelope *envelope)
{
	uint64_t id = request / ARRAY_SIZE(choices);

	if (conn != world->admin_conn || envelope->body_case != MAESTRO__ENVELOPE__BODY_DONE)
		return;
	require(world->answer_count < ARRAY_SIZE(world->answers));
	world->answers[world->answer_count++] = (struct sim_answer){ id, choices[request % ARRAY_SIZE(choices)] };
	check_answers(world);
}

/* --- what is promised -------------------------------------------------------------------------------------------- */

void check_answers(struct world *world)
{
	for (size_t i = 0; i < world->answer_count; i++) {
		const struct question_row *row = question_row(world, world->answers[i].question);

		if (!row || !row->answer || strcmp(row->answer, world->answers[i].choice) != 0)
			broken(world, "ASKED", "question %" PRIu64 " was answered with %s, and is %s", world->answers[i].question,
				world->answers[i].choice, row ? row->answer ? row->answer : "open" : "gone");
	}
}

static bool is_restored(const struct question_row *row)
{
	return row && !row->answer && !strcmp(row->kind, "restored");
}

void check_question(struct world *world, const struct question_row *old, const struct question_row *row)
{
	tell(world, "question %" PRIu64 " (%s): %s", row->id, row->kind, row->answer ? row->answer : row->text);
	if (old && old->answer && (!row->answer || strcmp(old->answer, row->answer) != 0))
		broken(world, "ASKED", "question %" PRIu64 " was answered with %s and becomes %s", row->id, old->answer,
			row->answer ? row->answer : "open");
	for (size_t i = 0; i < world->row_count[ROW_QUESTION]; i++) {
		const struct question_row *other = world->rows[ROW_QUESTION][i];

		if (is_restored(row) && is_restored(other) && other->id != row->id)
			broken(world, "ASKED", "question %" PRIu64 " asks what %" PRIu64 " does", row->id, other->id);
	}
}

static bool unheard(const struct world *world, const struct sim_worker *worker)
{
	uint64_t since_ms = world->disturbed_ms > worker->disturbed_ms ? world->disturbed_ms : worker->disturbed_ms;

	if (since_ms < world->asked_ms)
		since_ms = world->asked_ms;
	return worker->disobeyed && worker->link && worker->link == worker->far && worker->hole != worker->link &&
		world->core_frozen_ms <= world->now_ms && worker->frozen_until_ms <= world->now_ms &&
		worker->disk_until_ms <= world->now_ms && worker->cut_until_ms[1] <= world->now_ms &&
		world->now_ms > since_ms + UNHEARD_MS;
}

void check_asking(struct world *world)
{
	bool open = false;

	if (!world->core)
		return;
	for (size_t i = 0; i < world->row_count[ROW_QUESTION]; i++)
		open |= is_restored(world->rows[ROW_QUESTION][i]);
	if (open != core_restore_asked(world->core))
		broken(world, "ASKED", "an admin %s", open ? "is asked, and it goes on" : "is waited for, and not asked");
	if (open)
		world->asked_ms = world->now_ms;
	for (int i = 0; i < SIM_WORKERS; i++)
		if (!open && unheard(world, &world->workers[i]))
			broken(world, "ASKED", "%s has obeyed a later database, and nobody is asked", world->workers[i].name);
}

void check_asked_in_vain(struct world *world)
{
	for (size_t i = 0; i < world->row_count[ROW_QUESTION]; i++) {
		const struct question_row *row = world->rows[ROW_QUESTION][i];

		for (int w = 0; w < SIM_WORKERS && !row->answer; w++)
			if (row->worker && !strcmp(world->workers[w].name, row->worker))
				broken(world, "ASKED", "question %" PRIu64 " is still open, whatever was answered", row->id);
	}
}
