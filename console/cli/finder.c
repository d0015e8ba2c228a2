#include "console/cli/finder.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 4096u    /* of one question */
#define DEADLINE_MS 25000u  /* longer than the coordinator waits for its worker */

struct finder_worker {
	struct finder *finder;
	char *name;
	struct buf places;         /* Maestro__SearchPlace */
	size_t begin;              /* of the places that are asked for now */
	Maestro__SearchFound *page;
	size_t line;               /* of the page, the next one */
	bool fresh, over, sorted;
};

static size_t place_count(const struct finder_worker *worker)
{
	return worker->places.len / sizeof(Maestro__SearchPlace);
}

static Maestro__SearchPlace *place_at(const struct finder_worker *worker, size_t index)
{
	return (Maestro__SearchPlace *)(void *)worker->places.data + index;
}

static void drop_page(struct finder_worker *worker)
{
	if (worker->page)
		maestro__search_found__free_unpacked(worker->page, NULL);
	worker->page = NULL;
	worker->line = 0;
}

void finder_deinit(struct finder *finder)
{
	for (size_t i = 0; i < finder->worker_count; i++) {
		drop_page(&finder->workers[i]);
		buf_deinit(&finder->workers[i].places);
		free(finder->workers[i].name);
	}
	free(finder->workers);
}

static struct finder_worker *find_worker(struct finder *finder, const char *name)
{
	struct finder_worker *workers;

	for (size_t i = 0; i < finder->worker_count; i++)
		if (strcmp(finder->workers[i].name, name) == 0)
			return &finder->workers[i];
	workers = realloc(finder->workers, (finder->worker_count + 1) * sizeof(*workers));
	if (!workers)
		return NULL;
	finder->workers = workers;
	workers += finder->worker_count;
	*workers = (struct finder_worker){ .name = strdup(name), .places = BUF_NULL };
	if (!workers->name)
		return NULL;
	finder->worker_count++;
	return workers;
}

int finder_add(struct finder *finder, const char *worker, uint64_t task, uint32_t attempt)
{
	struct finder_worker *found = find_worker(finder, worker);
	Maestro__SearchPlace place = MAESTRO__SEARCH_PLACE__INIT;

	place.task = task;
	place.attempt = attempt;
	return found ? buf_append(&found->places, &place, sizeof(place)) : -ENOMEM;
}

static int compare(uint64_t a_task, uint32_t a_attempt, uint64_t b_task, uint32_t b_attempt)
{
	return a_task != b_task ? (a_task < b_task ? -1 : 1) : a_attempt != b_attempt ? (a_attempt < b_attempt ? -1 : 1) : 0;
}

static int compare_places(const void *a, const void *b)
{
	const Maestro__SearchPlace *first = a, *second = b;

	return compare(first->task, first->attempt, second->task, second->attempt);
}

static void sort_places(struct finder_worker *worker)
{
	if (!worker->sorted && place_count(worker))
		qsort(worker->places.data, place_count(worker), sizeof(Maestro__SearchPlace), compare_places);
	worker->sorted = true;
}

/* --- asking --------------------------------------------------------------------------------------------------- */

static void give_up(struct finder_worker *worker, const char *why)
{
	worker->over = true;
	worker->finder->note(worker->finder->userdata, NULL, worker->name, why);
}

static void on_reply(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct finder_worker *worker = userdata;

	worker->finder->waiting--;
	if (!r && reply->body_case != MAESTRO__ENVELOPE__BODY_SEARCH_FOUND)
		give_up(worker, "its answer makes no sense");
	else if (r)
		give_up(worker, error && error->why ? error->why : "it cannot be asked");
	else if (!(worker->page = message_copy(reply->search_found)))
		give_up(worker, strerror(ENOMEM));
	worker->fresh = worker->page != NULL;
}

/* Sends the next question; `next`: where the page before it stopped. */
static int ask(struct finder_worker *worker, Maestro__SearchCursor *next, struct error *error)
{
	struct finder *finder = worker->finder;
	size_t left = place_count(worker) - worker->begin, count = left < PLACES_MAX ? left : PLACES_MAX;
	_cleanup_free_ Maestro__SearchPlace **places = calloc(count, sizeof(Maestro__SearchPlace *));
	Maestro__SearchWorker search = MAESTRO__SEARCH_WORKER__INIT;
	Maestro__SearchSessions sessions = finder->ask;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;
	int r;

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		places[i] = place_at(worker, worker->begin + i);
	sessions.n_places = count;
	sessions.places = places;
	sessions.has_max_matches = true;
	sessions.max_matches = finder->page_matches;
	sessions.from = next;
	search.worker = worker->name;
	search.search = &sessions;
	request.body_case = MAESTRO__ENVELOPE__BODY_SEARCH_WORKER;
	request.search_worker = &search;
	r = client_request(finder->cli->client, &request, DEADLINE_MS, on_reply, worker, NULL, error);
	finder->waiting += !r;
	return r;
}

/* What comes after a page that was used up. */
static int ask_on(struct finder_worker *worker, struct error *error)
{
	Maestro__SearchFound *page = worker->page;
	int r;

	worker->page = NULL;
	worker->line = 0;
	if (page && !page->next)
		worker->begin += PLACES_MAX;
	worker->over |= worker->begin >= place_count(worker);
	r = worker->over ? 0 : ask(worker, page ? page->next : NULL, error);
	if (page)
		maestro__search_found__free_unpacked(page, NULL);
	return r;
}

static int take_notes(struct finder_worker *worker, struct error *error)
{
	Maestro__SearchFound *page = worker->page;

	if (page->has_refused) {
		_cleanup_free_ char *why = bytes_dup(&page->refused);

		return error_set(error, CLIENT_E_USAGE, "grep: %s", why ? why : "the pattern cannot be used");
	}
	for (size_t i = 0; i < page->n_notes; i++)
		worker->finder->note(worker->finder->userdata, page->notes[i], NULL, NULL);
	return 0;
}

static bool is_empty(const struct finder_worker *worker)
{
	return !worker->over && (!worker->page || worker->line == worker->page->n_lines);
}

static int ask_all(struct finder *finder, struct error *error)
{
	int r = 0;

	for (size_t i = 0; !r && i < finder->worker_count; i++) {
		struct finder_worker *worker = &finder->workers[i];

		worker->finder = finder;
		sort_places(worker);
		if (is_empty(worker))
			r = ask_on(worker, error);
	}
	while (!r && finder->waiting) {
		r = sd_event_run(finder->cli->event, UINT64_MAX);
		r = r < 0 ? r : 0;
	}
	return r;
}

/* Until every worker has a line to show, or is over. */
static int fill(struct finder *finder, struct error *error)
{
	bool again = false;
	int r = 0;

	for (size_t i = 0; i < finder->worker_count; i++)
		again |= is_empty(&finder->workers[i]);
	while (!r && again) {
		again = false;
		r = ask_all(finder, error);
		for (size_t i = 0; !r && i < finder->worker_count; i++) {
			struct finder_worker *worker = &finder->workers[i];

			if (worker->fresh)
				r = take_notes(worker, error);
			worker->fresh = false;
			again |= is_empty(worker);
		}
	}
	return r;
}

int finder_next(struct finder *finder, const Maestro__SearchLine **ret_line, struct error *error)
{
	struct finder_worker *first = NULL;
	const Maestro__SearchLine *line = NULL;
	int r = fill(finder, error);

	for (size_t i = 0; !r && i < finder->worker_count; i++) {
		struct finder_worker *worker = &finder->workers[i];
		const Maestro__SearchLine *its;

		if (worker->over || !worker->page)
			continue;
		its = worker->page->lines[worker->line];
		if (line && compare(line->task, line->attempt, its->task, its->attempt) <= 0)
			continue;
		first = worker;
		line = its;
	}
	if (first)
		first->line++;
	*ret_line = line;
	return r;
}
