#include "coordinator/service/executor.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <string.h>

#define GATHER_EVENTS 512u /* a flood must not put off the commit for ever */
#define GATHER_MS 20u
#define PROBE_MS 5000u

struct executor {
	sd_event *event;
	struct log *log;
	struct store *store;
	struct core *core;
	struct core_config config;
	const struct executor_ops *ops;
	void *userdata;
	struct core_effects effects, outbox;
	sd_event_source *turn, *timer;
	uint64_t began_ms;
	unsigned int gathered;
	char *trouble, *hint;
	uint64_t probe_ms; /* while there is trouble: when writing is tried next, however often somebody comes meanwhile */
};

/* --- loading ------------------------------------------------------------------------------------------------- */

static int take_row(enum row_table table, void *row, void *userdata, struct error *error)
{
	return core_load(userdata, table, row, error);
}

/* The events are many and the core keeps none: only where their numbers go on. */
static int load_last_event(struct executor *executor, struct core *core, struct error *error)
{
	struct event_row *row;
	uint64_t seq = 0;
	int r;

	r = store_last_event(executor->store, &seq, error);
	if (r)
		return r;
	row = calloc(1, sizeof(*row));
	if (!row)
		return -ENOMEM;
	row->seq = seq;
	return core_load(core, ROW_EVENT, row, error);
}

static int load(struct executor *executor, struct core **ret_core, struct error *error)
{
	_cleanup_(core_free_p) struct core *core = NULL;
	struct core_event start = { .type = CORE_EVENT_START, .wall_ms = clock_wall_ms() };
	int r;

	r = core_new(&core, &executor->config);
	for (int t = 0; t < ROW_KEY && !r; t++)
		r = store_each(executor->store, (enum row_table)t, take_row, core, error);
	if (!r)
		r = load_last_event(executor, core, error);
	if (r)
		return r;
	core_effects_clear(&executor->effects);
	r = core_handle(core, &start, clock_boottime_ms(), &executor->effects);
	core_effects_clear(&executor->effects); /* nobody is there yet to be told */
	if (!r)
		*ret_core = take(core);
	return r;
}

static int reload(struct executor *executor, struct error *error)
{
	struct core *core = NULL;
	int r;

	r = load(executor, &core, error);
	if (r)
		return error_fold(r);
	if (executor->core)
		core_free(executor->core);
	executor->core = core;
	return 0;
}

/* --- the timer ----------------------------------------------------------------------------------------------- */

static void arm_timer(struct executor *executor)
{
	uint64_t at = executor->trouble ? executor->probe_ms : core_deadline(executor->core);

	if (at == UINT64_MAX) {
		sd_event_source_set_enabled(executor->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(executor->timer, at * 1000);
	sd_event_source_set_enabled(executor->timer, SD_EVENT_ONESHOT);
}

static bool can_write(struct executor *executor)
{
	struct meta_row row = { (char *)"probe", (char *)"1" };
	int r;

	r = store_begin(executor->store, NULL);
	if (!r)
		r = store_put(executor->store, ROW_META, &row, NULL);
	if (!r)
		r = store_commit(executor->store, NULL);
	if (r)
		store_rollback(executor->store);
	return !r;
}

/* The core is made anew once more: all its clocks begin now, as after a restart. */
static void probe(struct executor *executor)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r;

	if (!can_write(executor))
		return;
	r = reload(executor, &error);
	if (r) {
		log_error(executor->log, "the database cannot be read: %s", error_text(&error, r));
		return;
	}
	log_info(executor->log, "the database can be written again");
	free(take(executor->trouble));
	executor->ops->recovered(executor->userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct executor *executor = userdata;
	struct core_event tick = { .type = CORE_EVENT_TICK };

	if (executor->trouble) {
		probe(executor);
		executor->probe_ms = clock_boottime_ms() + PROBE_MS;
		arm_timer(executor);
		return 0;
	}
	executor_handle(executor, &tick);
	return 0;
}

/* --- failing ------------------------------------------------------------------------------------------------- */

static void refuse(struct executor *executor, uint64_t client, uint64_t request)
{
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Failure failure = MAESTRO__FAILURE__INIT;
	struct core_effect reply = { .type = CORE_EFFECT_REPLY, .client = client, .request = request };

	if (!client)
		return;
	failure.code = MAESTRO__FAILURE_CODE__FAILURE_UNAVAILABLE;
	failure.has_what = failure.has_why = failure.has_hint = true;
	failure.what = bytes_of("coordinator");
	failure.why = bytes_of(executor->trouble);
	failure.hint = bytes_of(str_or(executor->hint, "try again; what was saved is safe"));
	envelope.body_case = MAESTRO__ENVELOPE__BODY_FAILURE;
	envelope.failure = &failure;
	reply.envelope = &envelope;
	executor->ops->deliver(&reply, executor->userdata);
}

static void refuse_all(struct executor *executor, const struct core_effects *effects)
{
	for (size_t i = 0; i < effects->count; i++)
		if (effects->items[i].type == CORE_EFFECT_REPLY)
			refuse(executor, effects->items[i].client, effects->items[i].request);
}

/* What the core has in mind is not what is stored: back to what is stored. */
static void fail(struct executor *executor, int r, struct error *error)
{
	_cleanup_(error_deinit) struct error again = ERROR_NULL;

	store_rollback(executor->store);
	free(executor->trouble);
	executor->trouble = strdup(error_text(error, r));
	free(executor->hint);
	executor->hint = error->hint ? strdup(error->hint) : NULL;
	log_error(executor->log, "%s", str_or(executor->trouble, "out of memory"));
	refuse_all(executor, &executor->outbox);
	refuse_all(executor, &executor->effects);
	core_effects_clear(&executor->outbox);
	core_effects_clear(&executor->effects);
	r = reload(executor, &again);
	if (r) { /* not even reading works: the process is of no use, and a restart is safe */
		log_error(executor->log, "the database cannot be read: %s", error_text(&again, r));
		sd_event_exit(executor->event, 1);
		return;
	}
	executor->gathered = 0;
	executor->probe_ms = clock_boottime_ms() + PROBE_MS;
	arm_timer(executor);
	executor->ops->failed(executor->trouble, executor->userdata);
}

/* --- events -------------------------------------------------------------------------------------------------- */

static bool is_row(const struct core_effect *effect)
{
	return effect->type == CORE_EFFECT_PUT || effect->type == CORE_EFFECT_DROP;
}

static int write_rows(struct executor *executor, struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < executor->effects.count && !r; i++) {
		const struct core_effect *effect = &executor->effects.items[i];

		if (!is_row(effect))
			continue;
		if (!store_in_transaction(executor->store))
			r = store_begin(executor->store, error);
		if (!r && effect->type == CORE_EFFECT_PUT)
			r = store_put(executor->store, effect->table, effect->row, error);
		else if (!r)
			r = store_drop(executor->store, effect->table, effect->row, error);
	}
	return r;
}

/* Moves what is to be said into the outbox. */
static int keep_words(struct executor *executor)
{
	struct core_effects *from = &executor->effects, *to = &executor->outbox;

	for (size_t i = 0; i < from->count; i++) {
		struct core_effect *effect = &from->items[i];

		if (is_row(effect))
			continue;
		if (effect->type == CORE_EFFECT_STATUS) {
			executor->ops->deliver(effect, executor->userdata);
			continue;
		}
		if (to->count == to->size) {
			size_t size = to->size ? to->size * 2 : 64;
			struct core_effect *items = realloc(to->items, size * sizeof(*items));

			if (!items)
				return -ENOMEM;
			to->items = items;
			to->size = size;
		}
		to->items[to->count++] = *effect;
		memset(effect, 0, sizeof(*effect)); /* handed over */
	}
	return 0;
}

void executor_handle(struct executor *executor, struct core_event *event)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	uint64_t now_ms = clock_boottime_ms();
	int r;

	if (executor->trouble) {
		refuse(executor, event->client.id, event->client.request);
		return;
	}
	event->wall_ms = clock_wall_ms();
	if (!executor->gathered++)
		executor->began_ms = now_ms;
	r = core_handle(executor->core, event, now_ms, &executor->effects);
	if (!r)
		r = write_rows(executor, &error);
	if (!r)
		r = keep_words(executor);
	if (r) {
		fail(executor, r, &error);
		return;
	}
	core_effects_clear(&executor->effects);
	if (executor->gathered >= GATHER_EVENTS || now_ms - executor->began_ms >= GATHER_MS)
		executor_flush(executor);
	else
		sd_event_source_set_enabled(executor->turn, SD_EVENT_ONESHOT);
}

/* A Start carries its prompt, also when the core has forgotten it. One without it would be another task: better none,
 * which the worker's next reconnect puts right. */
static bool complete(struct executor *executor, const struct core_effect *effect)
{
	Maestro__Start *start;
	int r;

	if (effect->type != CORE_EFFECT_SEND || effect->envelope->body_case != MAESTRO__ENVELOPE__BODY_START)
		return true;
	start = effect->envelope->start;
	r = executor_fill_prompt(executor, start->task, &start->prompt);
	if (r)
		log_error(executor->log, "task=%" PRIu64 ": its prompt cannot be read: %s", start->task, strerror(-r));
	return r == 0;
}

int executor_fill_prompt(struct executor *executor, uint64_t task, ProtobufCBinaryData *prompt)
{
	struct spec_row *spec = NULL;
	Maestro__Submit *submit;
	int r;

	if (prompt->len)
		return 0;
	r = store_get_spec(executor->store, task, &spec, NULL);
	if (r)
		return error_fold(r);
	submit = maestro__submit__unpack(NULL, spec->submit.len, spec->submit.data);
	row_free(ROW_SPEC, spec);
	if (!submit)
		return -EBADMSG;
	free(prompt->data);
	*prompt = submit->prompt;
	submit->prompt = (ProtobufCBinaryData){ 0 };
	maestro__submit__free_unpacked(submit, NULL);
	return 0;
}

void executor_flush(struct executor *executor)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(core_effects_deinit) struct core_effects outbox = CORE_EFFECTS_NULL;
	int r;

	if (store_in_transaction(executor->store)) {
		r = store_commit(executor->store, &error);
		if (r) {
			fail(executor, r, &error);
			return;
		}
	}
	executor->gathered = 0;
	outbox = executor->outbox; /* what is delivered may cause new events */
	executor->outbox = CORE_EFFECTS_NULL;
	for (size_t i = 0; i < outbox.count; i++)
		if (complete(executor, &outbox.items[i]))
			executor->ops->deliver(&outbox.items[i], executor->userdata);
	executor->ops->settled(executor->userdata);
	arm_timer(executor);
}

static int on_turn(sd_event_source *source, void *userdata)
{
	executor_flush(userdata);
	return 0;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

int executor_new(struct executor **ret_executor, sd_event *event, struct log *log, struct store *store,
	const struct core_config *config, const struct executor_ops *ops, void *userdata, struct error *error)
{
	_cleanup_(executor_free_p) struct executor *executor = calloc(1, sizeof(*executor));
	int r;

	if (!executor)
		return -ENOMEM;
	*executor = (struct executor){ .event = event, .log = log, .store = store, .config = *config, .ops = ops,
		.userdata = userdata };
	r = reload(executor, error);
	if (!r)
		r = sd_event_add_defer(event, &executor->turn, on_turn, executor);
	if (r < 0)
		return r;
	/* After everything that is pending in this turn, so that one commit serves it all. */
	sd_event_source_set_priority(executor->turn, SD_EVENT_PRIORITY_IDLE);
	sd_event_source_set_enabled(executor->turn, SD_EVENT_OFF);
	r = sd_event_add_time(event, &executor->timer, CLOCK_BOOTTIME, UINT64_MAX, 50000, on_timer, executor);
	if (r < 0)
		return r;
	arm_timer(executor);
	*ret_executor = take(executor);
	return 0;
}

void executor_free(struct executor *executor)
{
	sd_event_source_disable_unref(executor->turn);
	sd_event_source_disable_unref(executor->timer);
	core_effects_deinit(&executor->effects);
	core_effects_deinit(&executor->outbox);
	if (executor->core)
		core_free(executor->core);
	free(executor->trouble);
	free(executor->hint);
	free(executor);
}

struct core *executor_core(struct executor *executor)
{
	return executor->core;
}

const char *executor_trouble(const struct executor *executor)
{
	return executor->trouble;
}
