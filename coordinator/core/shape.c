#include "coordinator/core/internal.h"
#include "proto/wire/message.h"

#include <string.h>

/* --- which workers have what it asks ---------------------------------------------------------------------------- */

static bool better(const struct fit *a, const struct fit *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	return strcmp(a->worker->row.name, b->worker->row.name) < 0;
}

static void heap_set(struct shape *shape, size_t i, uint32_t number)
{
	shape->heap[i] = number;
	shape->fits[number].at = (uint32_t)i;
}

static size_t sift_up(struct shape *shape, size_t i)
{
	uint32_t moved = shape->heap[i];

	while (i && better(&shape->fits[moved], &shape->fits[shape->heap[(i - 1) / 2]])) {
		heap_set(shape, i, shape->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(shape, i, moved);
	return i;
}

static void sift_down(struct shape *shape, size_t i)
{
	uint32_t *heap = shape->heap, moved = heap[i];
	size_t child;

	while ((child = 2 * i + 1) < shape->heap_count) {
		if (child + 1 < shape->heap_count && better(&shape->fits[heap[child + 1]], &shape->fits[heap[child]]))
			child++;
		if (!better(&shape->fits[heap[child]], &shape->fits[moved]))
			break;
		heap_set(shape, i, heap[child]);
		i = child;
	}
	heap_set(shape, i, moved);
}

static void heap_remove(struct shape *shape, struct fit *fit)
{
	uint32_t at = fit->at, last = shape->heap[--shape->heap_count];

	fit->at = FIT_NOWHERE;
	if (at == shape->heap_count)
		return;
	heap_set(shape, at, last);
	sift_down(shape, sift_up(shape, at));
}

static void take_back(struct shape *shape, struct fit *fit)
{
	if (!fit->worker)
		return;
	if (fit->obstacle != OBSTACLE_COUNT)
		shape->count[fit->obstacle]--;
	if (fit->obstacle == OBSTACLE_LABEL)
		shape->lacking[fit->label]--;
}

static void look_at(const struct core *core, struct shape *shape, struct worker *worker)
{
	struct fit *fit = &shape->fits[worker->number];
	bool known = fit->worker != NULL;
	size_t label = 0;

	take_back(shape, fit);
	if (!known)
		*fit = (struct fit){ .worker = worker, .at = FIT_NOWHERE };
	if (!known || worker->described > shape->seen) {
		fit->told = (uint8_t)worker_offers(worker, shape, &label);
		fit->label = (uint16_t)label;
	}
	fit->obstacle = (uint8_t)worker_obstacle(core, worker, shape, (enum obstacle)fit->told);
	if (fit->obstacle != OBSTACLE_COUNT) {
		shape->count[fit->obstacle]++;
		shape->lacking[fit->label] += fit->obstacle == OBSTACLE_LABEL;
		if (fit->at != FIT_NOWHERE)
			heap_remove(shape, fit);
		return;
	}
	fit->score = worker_score(worker, shape->project);
	if (fit->at == FIT_NOWHERE)
		heap_set(shape, shape->heap_count++, worker->number);
	sift_down(shape, sift_up(shape, fit->at));
}

static bool make_room(struct core *core, struct shape *shape)
{
	size_t n = core->number_count;
	struct fit *fits;
	uint32_t *heap;

	if (shape->fit_count >= n)
		return true;
	fits = realloc(shape->fits, n * sizeof(*fits));
	if (fits)
		shape->fits = fits;
	heap = fits ? realloc(shape->heap, n * sizeof(*heap)) : NULL;
	if (!heap)
		return false;
	shape->heap = heap;
	memset(fits + shape->fit_count, 0, (n - shape->fit_count) * sizeof(*fits));
	core->known_fits += n - shape->fit_count;
	shape->fit_count = n;
	return true;
}

struct worker *shape_best(struct core *core, struct core_effects *fx, struct shape *shape)
{
	struct list *at;

	if (!make_room(core, shape)) {
		fx->error = -ENOMEM;
		return NULL;
	}
	for (at = core->moved.prev; at != &core->moved; at = at->prev) {
		struct worker *worker = list_entry(at, struct worker, by_move);

		if (worker->moved <= shape->seen)
			break;
		look_at(core, shape, worker);
	}
	shape->seen = core->moves;
	list_remove(&shape->used);
	list_append(&core->shape_list, &shape->used);
	return shape->heap_count ? shape->fits[shape->heap[0]].worker : NULL;
}

void shape_explain(const struct core *core, const struct shape *shape, struct buf *out)
{
	size_t most = 0;

	for (size_t i = 1; i < shape->label_count; i++)
		if (shape->lacking[i] > shape->lacking[most])
			most = i;
	explain_obstacles(shape, HASH_COUNT(core->workers), shape->label_count ? shape->labels[most] : NULL, out);
}

/* --- workers ---------------------------------------------------------------------------------------------------- */

void worker_moved(struct core *core, struct worker *worker)
{
	worker->moved = ++core->moves;
	list_remove(&worker->by_move);
	list_append(&core->moved, &worker->by_move);
}

void worker_described(struct core *core, struct worker *worker)
{
	worker_moved(core, worker);
	worker->described = worker->moved;
}

/* The lowest that is free. */
bool worker_number(struct core *core, struct worker *worker)
{
	struct worker **numbers = core->numbers;
	size_t i = 0;

	if (core->numbered == core->number_count) {
		numbers = realloc(numbers, (core->number_count + 1) * sizeof(*numbers));
		if (!numbers)
			return false;
		core->numbers = numbers;
		numbers[core->number_count++] = NULL;
		i = core->number_count - 1;
	}
	while (numbers[i])
		i++;
	numbers[i] = worker;
	core->numbered++;
	worker->number = (uint32_t)i;
	list_init(&worker->by_move);
	worker_described(core, worker);
	return true;
}

void worker_forget(struct core *core, struct worker *worker)
{
	struct shape *shape;

	list_for_each (shape, &core->shape_list, used) {
		struct fit *fit = worker->number < shape->fit_count ? &shape->fits[worker->number] : NULL;

		if (!fit || !fit->worker)
			continue;
		take_back(shape, fit);
		if (fit->at != FIT_NOWHERE)
			heap_remove(shape, fit);
		fit->worker = NULL;
	}
	list_remove(&worker->by_move);
	core->numbers[worker->number] = NULL;
	core->numbered--;
}

/* --- shapes ----------------------------------------------------------------------------------------------------- */

static int compare_labels(const void *a, const void *b)
{
	const Maestro__Label *x = *(Maestro__Label *const *)a, *y = *(Maestro__Label *const *)b;
	int order = strcmp(x->key, y->key);

	return order ? order : strcmp(x->value, y->value);
}

/* Project, agent, whether a base is needed, and the labels in order. Names and label values hold no newline. */
static void shape_key(const struct task *task, Maestro__Label **labels, size_t n, struct buf *out)
{
	buf_printf(out, "%s\n%s\n%d", task->row.project, task->row.agent, task->row.base_branch != NULL);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "\n%s=%s", labels[i]->key, labels[i]->value);
}

static void shape_free(struct shape *shape)
{
	for (size_t i = 0; shape->labels && i < shape->label_count; i++)
		if (shape->labels[i])
			maestro__label__free_unpacked(shape->labels[i], NULL);
	free(shape->labels);
	free(shape->lacking);
	free(shape->fits);
	free(shape->heap);
	free(shape->key);
	free(shape->why);
	free(shape);
}

static struct shape *shape_new(const struct task *task, const char *key, Maestro__Label **labels, size_t n)
{
	struct shape *shape = calloc(1, sizeof(*shape));

	if (!shape)
		return NULL;
	shape->project = task->project;
	shape->agent = task->agent;
	shape->label_count = n;
	shape->labels = calloc(n + 1, sizeof(Maestro__Label *));
	shape->lacking = calloc(n + 1, sizeof(*shape->lacking));
	if (row_set_text(&shape->key, key) || !shape->labels || !shape->lacking) {
		shape_free(shape);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		shape->labels[i] = message_copy(labels[i]);
		if (!shape->labels[i]) {
			shape_free(shape);
			return NULL;
		}
	}
	return shape;
}

struct shape *shape_of(struct core *core, struct core_effects *fx, const struct task *task)
{
	size_t n = task->spec ? task->spec->n_labels : 0;
	_cleanup_free_ Maestro__Label **labels = calloc(n + 1, sizeof(Maestro__Label *));
	_cleanup_(buf_deinit) struct buf key = BUF_NULL;
	struct shape *shape = NULL;

	if (labels) {
		if (n)
			memcpy(labels, task->spec->labels, n * sizeof(Maestro__Label *));
		qsort(labels, n, sizeof(Maestro__Label *), compare_labels);
		shape_key(task, labels, n, &key);
		HASH_FIND(hh, core->shapes, buf_text(&key), key.len, shape);
		if (shape)
			return shape;
		shape = shape_new(task, buf_text(&key), labels, n);
	}
	if (!shape) {
		fx->error = -ENOMEM;
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, core->shapes, shape->key, strlen(shape->key), shape);
	list_append(&core->shape_list, &shape->used);
	return shape;
}

static void forget_fits(struct core *core, struct shape *shape)
{
	core->known_fits -= shape->fit_count;
	free(take(shape->fits));
	free(take(shape->heap));
	shape->fit_count = shape->heap_count = 0;
	shape->seen = 0;
	memset(shape->count, 0, sizeof(shape->count));
	memset(shape->lacking, 0, (shape->label_count + 1) * sizeof(*shape->lacking));
}

static void shape_remove(struct core *core, struct shape *shape)
{
	forget_fits(core, shape);
	list_remove(&shape->used);
	HASH_DEL(core->shapes, shape);
	shape_free(shape);
}

#define FITS_OF_SHAPE 64u /* what a shape itself counts for */

static bool too_many(const struct core *core)
{
	return core->known_fits + HASH_COUNT(core->shapes) * FITS_OF_SHAPE > core->config.known_fits;
}

/* Of those that tasks wait for, what the latest knows goes first: the next pass looks at all of them, in an order that is
 * much the same, and would else find each gone. */
void shapes_trim(struct core *core)
{
	struct shape *shape, *next;

	if (!too_many(core))
		return;
	list_for_each_safe (shape, next, &core->shape_list, used)
		if (!shape->flows && too_many(core))
			shape_remove(core, shape);
	for (struct list *at = core->shape_list.prev; at != &core->shape_list && too_many(core); at = at->prev)
		forget_fits(core, list_entry(at, struct shape, used));
}

void shapes_deinit(struct core *core)
{
	struct shape *shape, *next;

	HASH_ITER (hh, core->shapes, shape, next)
		shape_remove(core, shape);
	free(core->numbers);
}
