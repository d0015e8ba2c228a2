/* Placement that remembers decides like placement that looks at every worker each time: random fleets, in which workers
 * come, go, change and are removed and tasks are submitted and end, are lived through by a core that remembers and by one that
 * forgets after each pass; and what is remembered is compared with a plain scan after each event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "coordinator/core/internal.h"
#include "proto/base/id.h"
#include "proto/wire/message.h"
#include "tests/unit/coordinator/world.h"

#define WORKERS 12u
#define STEPS 400u
#define SEEDS 40u

static uint64_t chance_state, id_state[2];
static size_t at_hand; /* of the two */

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned int chance(unsigned int n)
{
	return (unsigned int)(next(&chance_state) >> 20) % n;
}

/* Both cores draw the same ids. */
static void draw(void *buffer, size_t len)
{
	uint8_t *out = buffer;

	while (len--)
		*out++ = (uint8_t)(next(&id_state[at_hand]) >> 24);
}

struct twins {
	struct world world[2];
};

static void both(struct twins *twins, struct core_event *event)
{
	for (at_hand = 0; at_hand < 2; at_hand++)
		world_handle(&twins->world[at_hand], event);
}

/* --- what happens ----------------------------------------------------------------------------------------------- */

static const char *worker_name(char name[16])
{
	snprintf(name, 16, "w%u", chance(WORKERS));
	return name;
}

static Maestro__Label some_labels[] = { MAESTRO__LABEL__INIT, MAESTRO__LABEL__INIT, MAESTRO__LABEL__INIT };

static size_t choose_labels(Maestro__Label **labels, unsigned int odds)
{
	static const char *const texts[][2] = { { "gpu", "a" }, { "gpu", "b" }, { "arch", "arm" } };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(some_labels); i++) {
		some_labels[i].key = (char *)(uintptr_t)texts[i][0];
		some_labels[i].value = (char *)(uintptr_t)texts[i][1];
		if (!chance(odds))
			labels[n++] = &some_labels[i];
	}
	return n;
}

static void connect_worker(struct twins *twins)
{
	Maestro__AgentProgram agent[2] = { MAESTRO__AGENT_PROGRAM__INIT, MAESTRO__AGENT_PROGRAM__INIT };
	Maestro__AgentProgram *agents[] = { &agent[0], &agent[1] };
	Maestro__WorkerInfo info = MAESTRO__WORKER_INFO__INIT;
	Maestro__Label *labels[3];
	char name[16], *projects[] = { (char *)"q" };

	worker_name(name);
	agent[0].name = (char *)"claude";
	agent[1].name = (char *)"codex";
	agent[1].has_logged_in = true;
	agent[1].logged_in = chance(2);
	info.n_agents = chance(3);
	info.agents = agents;
	info.has_slots = true;
	info.slots = chance(5);
	info.labels = labels;
	info.n_labels = choose_labels(labels, 2);
	info.n_projects = !chance(4);
	info.projects = projects;
	for (at_hand = 0; at_hand < 2; at_hand++)
		world_add_worker(&twins->world[at_hand], name, &info);
}

/* It goes no further for now. */
static void begin_worker(struct twins *twins)
{
	char name[16];
	struct core_event connected = { .type = CORE_EVENT_WORKER_CONNECTED, .worker = worker_name(name), .text = "b",
		.name = "t" };

	both(twins, &connected);
}

static void disconnect_worker(struct twins *twins)
{
	char name[16];
	struct core_event gone = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = worker_name(name) };

	both(twins, &gone);
}

static void beat(struct twins *twins)
{
	Maestro__Heartbeat heartbeat = MAESTRO__HEARTBEAT__INIT;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	char name[16];
	struct core_event event = { .type = CORE_EVENT_WORKER_MESSAGE, .worker = worker_name(name), .envelope = &envelope };

	heartbeat.has_load_percent = true;
	heartbeat.load_percent = chance(120);
	heartbeat.has_disk_free_bytes = chance(2);
	heartbeat.disk_free_bytes = chance(3) ? UINT64_C(1) << 40 : 1;
	heartbeat.has_memory_free_bytes = chance(2);
	heartbeat.memory_free_bytes = chance(3) ? UINT64_C(1) << 40 : 1;
	envelope.body_case = BODY(HEARTBEAT);
	envelope.heartbeat = &heartbeat;
	both(twins, &event);
}

static void act_on_worker(struct twins *twins)
{
	static const Maestro__WorkerAction actions[] = { MAESTRO__WORKER_ACTION__WORKER_CORDON,
		MAESTRO__WORKER_ACTION__WORKER_UNCORDON, MAESTRO__WORKER_ACTION__WORKER_UNCORDON,
		MAESTRO__WORKER_ACTION__WORKER_DRAIN, MAESTRO__WORKER_ACTION__WORKER_DECLARE_LOST,
		MAESTRO__WORKER_ACTION__WORKER_REMOVE };
	Maestro__ActOnWorker act = MAESTRO__ACT_ON_WORKER__INIT;
	struct core_event event = { .type = CORE_EVENT_WORKER_ACT, .worker_act = &act, .client = { 1, 1, "test" } };
	char name[16];

	act.name = (char *)(uintptr_t)worker_name(name);
	act.action = actions[chance(ARRAY_SIZE(actions))];
	both(twins, &event);
}

static void submit_one(struct twins *twins)
{
	static const char *const known[] = { "command", "claude", "codex" };
	Maestro__Submit submit = MAESTRO__SUBMIT__INIT;
	struct core_event event = { .type = CORE_EVENT_SUBMIT, .submit = &submit,
		.client = { 1, 1, chance(2) ? "ann" : "bob" } };
	char *agent = (char *)(uintptr_t)known[chance(3)];
	Maestro__Label *labels[3];

	submit.project = (char *)(uintptr_t)(chance(2) ? "p" : "q");
	submit.n_agents = 1;
	submit.agents = &agent;
	submit.prompt = bytes_of("true");
	submit.has_priority = true;
	submit.priority = (int)chance(2);
	submit.has_retries = true;
	submit.retries = chance(2);
	submit.n_labels = choose_labels(labels, 4);
	submit.labels = labels;
	both(twins, &event);
}

/* A task that holds a slot, 0: none. */
static uint64_t some_session(const struct twins *twins)
{
	uint64_t from = chance(STEPS);

	for (uint64_t i = 0; i < STEPS; i++) {
		const struct task_row *row = core_task(twins->world[0].core, 1 + (from + i) % STEPS);

		if (row && (row->state == STARTING || row->state == RUNNING) &&
			core_worker_ready(twins->world[0].core, core_attempt(twins->world[0].core, row->id, 0)->worker))
			return row->id;
	}
	return 0;
}

static void report_one(struct twins *twins)
{
	static const Maestro__AttemptPhase phases[] = { MAESTRO__ATTEMPT_PHASE__PHASE_RUNNING, EXITED, EXITED,
		MAESTRO__ATTEMPT_PHASE__PHASE_PUSHED, MAESTRO__ATTEMPT_PHASE__PHASE_FAILED };
	Maestro__AttemptPhase phase = phases[chance(ARRAY_SIZE(phases))];
	uint64_t task = some_session(twins);
	bool retryable = chance(2);

	for (at_hand = 0; task && at_hand < 2; at_hand++)
		report(&twins->world[at_hand], task, phase, retryable);
}

static void limit_one(struct twins *twins)
{
	uint64_t task = some_session(twins), until_ms = 1 + chance(20000);
	Maestro__AgentState state =
		chance(3) ? MAESTRO__AGENT_STATE__AGENT_LIMITED : MAESTRO__AGENT_STATE__AGENT_WORKING;

	for (at_hand = 0; task && at_hand < 2; at_hand++)
		say_limited(&twins->world[at_hand], task, state, until_ms);
}

static void pass_time(struct twins *twins)
{
	struct core_event tick = { .type = CORE_EVENT_TICK };
	uint64_t now_ms = twins->world[0].now_ms + chance(3000), due_ms = core_deadline(twins->world[0].core);
	bool ticks = chance(3);

	for (size_t i = 0; i < 2; i++)
		twins->world[i].now_ms = now_ms;
	if (ticks || due_ms + 4000 < now_ms) /* the loop comes late, but not that late */
		both(twins, &tick);
}

static void pause_or_resume(struct twins *twins)
{
	struct core_event event = { .type = CORE_EVENT_QUEUE, .flag = !chance(3) };

	both(twins, &event);
}

static const struct {
	void (*happen)(struct twins *twins);
	unsigned int weight;
} happenings[] = {
	{ submit_one, 30 },
	{ report_one, 20 },
	{ connect_worker, 12 },
	{ pass_time, 12 },
	{ beat, 10 },
	{ begin_worker, 2 },
	{ disconnect_worker, 4 },
	{ act_on_worker, 6 },
	{ limit_one, 6 },
	{ pause_or_resume, 2 },
};

static void step(struct twins *twins)
{
	unsigned int sum = 0, drawn;
	size_t i = 0;

	for (size_t k = 0; k < ARRAY_SIZE(happenings); k++)
		sum += happenings[k].weight;
	for (drawn = chance(sum); drawn >= happenings[i].weight; i++)
		drawn -= happenings[i].weight;
	happenings[i].happen(twins);
}

/* --- what is checked -------------------------------------------------------------------------------------------- */

static void pack_view(const struct world *world, uint64_t task, struct buf *out)
{
	Maestro__Task *view = core_view_task(world->core, task, false, 0);

	assert_non_null(view);
	assert_int_equal(message_pack(view, out), 0);
	maestro__task__free_unpacked(view, NULL);
}

static void assert_same_view(const struct twins *twins, uint64_t task)
{
	_cleanup_(buf_deinit) struct buf a = BUF_NULL;
	_cleanup_(buf_deinit) struct buf b = BUF_NULL;

	pack_view(&twins->world[0], task, &a);
	pack_view(&twins->world[1], task, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

/* What watchers are told apart: a shape that was forgotten says once more why its tasks wait. */
static const struct core_effect *next_effect(const struct core_effects *effects, size_t *at)
{
	while (*at < effects->count && effects->items[*at].type == CORE_EFFECT_CHANGED_TASK)
		++*at;
	return *at < effects->count ? &effects->items[(*at)++] : NULL;
}

static void assert_same_effects(const struct twins *twins)
{
	const struct core_effect *a, *b;
	size_t i = 0, k = 0;

	do {
		a = next_effect(&twins->world[0].effects, &i);
		b = next_effect(&twins->world[1].effects, &k);
		assert_int_equal(a != NULL, b != NULL);
		if (!a)
			return;
		assert_int_equal(a->type, b->type);
		assert_int_equal(a->table, b->table);
		assert_string_equal(a->worker ? a->worker : "", b->worker ? b->worker : "");
	} while (true);
}

static void assert_same_tasks(const struct twins *twins)
{
	for (const struct task *task = twins->world[0].core->tasks; task; task = task->hh.next)
		assert_same_view(twins, task->row.id);
}

static void assert_scan(struct core *core, struct shape *shape)
{
	struct core_effects fx = CORE_EFFECTS_NULL;
	struct worker *said, *best = NULL;
	uint32_t count[OBSTACLE_COUNT + 1] = { 0 };

	limits_look(core);
	said = shape_best(core, &fx, shape);
	for (struct worker *w = core->workers; w; w = w->hh.next) {
		size_t label;
		enum obstacle obstacle = worker_obstacle(core, w, shape, worker_offers(w, shape, &label));
		uint32_t score = worker_score(w, shape->project), most = best ? worker_score(best, shape->project) : 0;

		count[obstacle]++;
		if (obstacle == OBSTACLE_COUNT &&
			(score > most || (score == most && strcmp(w->row.name, best->row.name) < 0)))
			best = w;
	}
	assert_ptr_equal(said, best);
	assert_memory_equal(shape->count, count, sizeof(shape->count));
}

static void live_through(uint64_t seed)
{
	static const struct core_limit projects[] = { { "p", 9 } }, agents[] = { { "claude", 7 } };
	static const uint32_t remembered[] = { 1u << 18, 300, 700 };
	struct core_config config = core_config_default;
	struct twins twins;
	struct shape *shape;

	chance_state = seed * UINT64_C(0x9e3779b97f4a7c15);
	config.random = draw;
	config.max_load_percent = 100;
	config.placements = 3;
	config.project_slots = projects;
	config.agent_slots = agents;
	config.project_slot_count = config.agent_slot_count = 1;
	for (at_hand = 0; at_hand < 2; at_hand++) {
		id_state[at_hand] = seed;
		config.known_fits = at_hand ? 0 : remembered[seed % ARRAY_SIZE(remembered)];
		world_init(&twins.world[at_hand], &config);
	}
	for (unsigned int i = 0; i < STEPS; i++) {
		step(&twins);
		assert_same_effects(&twins);
		if (i % 16 == 0)
			assert_same_tasks(&twins);
		list_for_each (shape, &twins.world[1].core->shape_list, used)
			assert_int_equal(shape->fit_count, 0);
		assert_true(twins.world[0].core->known_fits <= config.known_fits + remembered[seed % ARRAY_SIZE(remembered)]);
		for (shape = twins.world[0].core->shapes; shape; shape = shape->hh.next)
			assert_scan(twins.world[0].core, shape);
		shapes_trim(twins.world[0].core);
	}
	world_deinit(&twins.world[0]);
	world_deinit(&twins.world[1]);
}

static void test_remembered_is_scanned(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		live_through(seed);
}

/* Each task of its own kind, one after the other: what was asked before is not kept for ever. */
static void test_shapes_are_bounded(void **state)
{
	_cleanup_(world_deinit) struct world world;
	struct core_config config = core_config_default;
	char label[16];

	config.known_fits = 10000; /* a shape counts for 65 of them here */
	world_init(&world, &config);
	add_slots(&world, "w", 4);
	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(label, sizeof(label), "l%u", i);
		submit(&world, (struct wish){ .label = label });
		assert_int_equal(state_of(&world, i + 1), QUEUED);
		if (i >= 100) {
			Maestro__ActOnTask act = MAESTRO__ACT_ON_TASK__INIT;
			struct core_event stop = { .type = CORE_EVENT_ACT, .act = &act, .client = { 1, 1, "test" } };

			act.task = i - 99;
			act.action = MAESTRO__TASK_ACTION__ACT_STOP;
			world_handle(&world, &stop);
			assert_int_equal(state_of(&world, i - 99), MAESTRO__TASK_STATE__TASK_CANCELLED);
		}
	}
	assert_in_range(HASH_COUNT(world.core->shapes), 100, 160);
}

/* Whoever watches is told at once why tasks wait; and where many wait, not again at each worker that comes and goes. */
static void test_many_that_wait_are_told_seldom(void **state)
{
	_cleanup_(world_deinit) struct world world;
	unsigned int told = 0;

	world_init(&world, NULL);
	add_slots(&world, "a", 1);
	for (unsigned int i = 0; i < 1001; i++)
		submit(&world, (struct wish){ 0 });
	world.now_ms += 10000;
	for (unsigned int turn = 0; turn < 20; turn++) {
		struct core_event gone = { .type = CORE_EVENT_WORKER_DISCONNECTED, .worker = "b" };

		world.now_ms += 10;
		add_slots(&world, "b", 0);
		world_handle(&world, &gone);
		for (size_t i = 0; i < world.effects.count; i++)
			told += world.effects.items[i].type == CORE_EFFECT_CHANGED_TASK;
	}
	assert_in_range(told, 0, 1000);
	assert_waits(&world, 1001, "1 worker is full, 1 worker is away");
	for (told = 0; core_deadline(world.core) <= world.now_ms + 4000;) {
		tick(&world, core_deadline(world.core) > world.now_ms ? core_deadline(world.core) : world.now_ms);
		for (size_t i = 0; i < world.effects.count; i++)
			told += world.effects.items[i].type == CORE_EFFECT_CHANGED_TASK;
	}
	assert_in_range(told, 1000, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remembered_is_scanned),
		cmocka_unit_test(test_shapes_are_bounded),
		cmocka_unit_test(test_many_that_wait_are_told_seldom),
	};

	if (id_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
