#include "worker/search/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/clock.h"
#include "proto/wire/message.h"
#include "worker/search/lines.h"
#include "worker/search/pattern.h"
#include "worker/session/transcript.h"

/* What ends a transcript's reading from within; none of its conditions. */
#define FULL 1000   /* the answer is */
#define ENOUGH 1001 /* of this place */

struct search {
	const Maestro__SearchSessions *ask;
	const char *sessions_dir;
	const Maestro__SearchPlace *place; /* the one that is looked through */
	struct lines lines;
	Maestro__SearchFound *found;
	size_t bytes;
	uint32_t matches, matches_max;
	uint64_t told;       /* the last line of this place that is in the answer */
	bool told_before;    /* this record was begun for the answer before: what is not there was told then */
	uint64_t until_ms;
	bool begun;          /* a record at least is looked at for each answer */
};

/* --- the answer ----------------------------------------------------------------------------------------------- */

/* Room for one more pointer; grows by doubling. */
static void **add_pointer(void ***array, size_t *count)
{
	if (!(*count & (*count + 1)) || !*count) {
		void **grown = realloc(*array, (*count + 1) * 2 * sizeof(**array));

		if (!grown)
			return NULL;
		*array = grown;
	}
	return &(*array)[*count];
}

static int copy_bytes(const void *data, size_t len, ProtobufCBinaryData *ret)
{
	ret->data = malloc(len + 1);
	if (!ret->data)
		return -ENOMEM;
	if (len)
		memcpy(ret->data, data, len);
	ret->len = len;
	return 0;
}

static int on_line(void *userdata, uint64_t number, int64_t time_ms, const char *text, size_t len, bool context)
{
	struct search *search = userdata;
	Maestro__SearchFound *found = search->found;
	void **slot = add_pointer((void ***)&found->lines, &found->n_lines);
	Maestro__SearchLine *line = slot ? malloc(sizeof(*line)) : NULL;

	if (!line)
		return -ENOMEM;
	maestro__search_line__init(line);
	line->task = search->place->task;
	line->attempt = search->place->attempt;
	line->number = number;
	line->has_time_ms = line->has_context = true;
	line->time_ms = time_ms;
	line->context = context;
	*slot = line;
	found->n_lines++;
	search->told = number;
	search->bytes += len + 32;
	search->matches += !context;
	if (copy_bytes(text, len, &line->text))
		return -ENOMEM;
	if (!context && search->ask->once)
		return ENOUGH;
	return search->matches >= search->matches_max || search->bytes >= SEARCH_ANSWER_BYTES ? FULL : 0;
}

static int add_note(struct search *search, Maestro__SearchNoteKind kind, uint64_t lost_bytes, const char *why)
{
	Maestro__SearchFound *found = search->found;
	void **slot = add_pointer((void ***)&found->notes, &found->n_notes);
	Maestro__SearchNote *note = slot ? malloc(sizeof(*note)) : NULL;

	if (!note)
		return -ENOMEM;
	maestro__search_note__init(note);
	*slot = note;
	found->n_notes++;
	note->task = search->place->task;
	note->attempt = search->place->attempt;
	note->kind = kind;
	note->has_lost_bytes = lost_bytes != 0;
	note->lost_bytes = lost_bytes;
	note->has_why = why != NULL;
	return why ? copy_bytes(why, strlen(why), &note->why) : 0;
}

/* --- one transcript ------------------------------------------------------------------------------------------- */

static int on_item(void *userdata, const struct transcript_item *item)
{
	struct search *search = userdata;
	int r = 0;

	if (item->kind == TRANSCRIPT_DATA)
		return lines_feed(&search->lines, item->data, item->len, item->wall_ms);
	if (item->kind != TRANSCRIPT_GAP)
		return 0;
	if (!search->told_before)
		r = add_note(search, item->len ? MAESTRO__SEARCH_NOTE_KIND__SEARCH_NOT_RECORDED
					       : MAESTRO__SEARCH_NOTE_KIND__SEARCH_DAMAGED, item->len, NULL);
	return r ? r : lines_end(&search->lines);
}

/* What was read last is there: nothing comes after it. */
static int end_place(struct search *search, struct transcript_reader *reader)
{
	struct transcript_place place;
	int r = lines_end(&search->lines);

	if (r || search->place->live)
		return r;
	r = transcript_cut_off(reader, &place);
	if (r == TRANSCRIPT_E_NOT_FOUND)
		return 0;
	return r ? r : add_note(search, MAESTRO__SEARCH_NOTE_KIND__SEARCH_CUT_OFF, 0, NULL);
}

/* Where the next answer goes on: at the record before which `state` was saved. */
static int stop_at(struct search *search, size_t index, uint64_t position, uint64_t told, Maestro__SearchCursor **state)
{
	Maestro__SearchCursor *cursor = take(*state);

	cursor->place = (uint32_t)index;
	cursor->position = position;
	cursor->told = told;
	search->found->next = cursor;
	return FULL;
}

static void free_cursor(Maestro__SearchCursor **cursor)
{
	if (*cursor)
		maestro__search_cursor__free_unpacked(*cursor, NULL);
	*cursor = NULL;
}

/* One record. FULL: the answer says where to go on. */
static int search_record(struct search *search, struct transcript_reader *reader, size_t index, uint64_t *position)
{
	_cleanup_(free_cursor) Maestro__SearchCursor *state = NULL;
	uint64_t at = *position;
	int r = lines_save(&search->lines, &state);

	if (r)
		return r;
	if (search->begun && clock_boottime_ms() >= search->until_ms)
		return stop_at(search, index, at, search->lines.told, &state);
	search->begun = true;
	search->told = search->lines.told;
	r = transcript_part(reader, position, 1, on_item, search);
	if (r == TRANSCRIPT_E_END) {
		r = end_place(search, reader);
		r = r ? r : ENOUGH;
	}
	if (r == FULL)
		return stop_at(search, index, at, search->told, &state);
	search->lines.told = 0;
	search->told_before = false;
	return r;
}

static int open_place(struct search *search, struct transcript_reader **ret_reader)
{
	_cleanup_(buf_deinit) struct buf path = BUF_NULL;
	int r = buf_printf(&path, "%s/%" PRIu64 ".%u/transcript.zst", search->sessions_dir, search->place->task,
		search->place->attempt);

	return r ? r : transcript_reader_new(ret_reader, buf_text(&path));
}

static int search_place(struct search *search, size_t index, uint64_t position)
{
	_cleanup_(transcript_reader_free_p) struct transcript_reader *reader = NULL;
	int r = open_place(search, &reader);

	if (r == TRANSCRIPT_E_NOT_FOUND)
		return search->place->live ? 0 : add_note(search, MAESTRO__SEARCH_NOTE_KIND__SEARCH_NO_TRANSCRIPT, 0, NULL);
	while (!r)
		r = search_record(search, reader, index, &position);
	if (r == ENOUGH)
		return 0;
	if (r < 0 && r != -ENOMEM)
		return add_note(search, MAESTRO__SEARCH_NOTE_KIND__SEARCH_FAILED, 0, strerror(-r));
	return r;
}

/* --- all of them ---------------------------------------------------------------------------------------------- */

static int search_places(struct search *search)
{
	const Maestro__SearchCursor *from = search->ask->from;
	uint64_t position = from ? from->position : 0;
	int r = 0;

	if (from && lines_load(&search->lines, from))
		return -EINVAL;
	search->told_before = from && from->told;
	for (size_t i = from ? from->place : 0; !r && i < search->ask->n_places; i++) {
		search->place = search->ask->places[i];
		r = search_place(search, i, position);
		lines_reset(&search->lines);
		position = 0;
	}
	return r == FULL ? 0 : r;
}

static int refuse(Maestro__SearchFound *found, const char *why)
{
	found->has_refused = true;
	return copy_bytes(why, strlen(why), &found->refused);
}

static int search_with(const Maestro__SearchJob *job, struct pattern *pattern, Maestro__SearchFound *found)
{
	const Maestro__SearchSessions *ask = job->search;
	_cleanup_free_ char *dir = bytes_dup(&job->sessions_dir);
	struct search search = { .ask = ask, .sessions_dir = dir, .found = found, .matches_max = SEARCH_MATCHES_MAX };
	int r;

	if (!dir)
		return -ENOMEM;
	if (ask->max_matches && ask->max_matches < search.matches_max)
		search.matches_max = ask->max_matches;
	search.lines = (struct lines){ .pattern = pattern, .context = ask->context < LINES_CONTEXT_MAX ? ask->context : LINES_CONTEXT_MAX,
		.tell = on_line, .userdata = &search, .plain = PLAIN_NULL, .text = BUF_NULL };
	search.until_ms = clock_boottime_ms() + job->slice_ms;
	r = search_places(&search);
	lines_deinit(&search.lines);
	return r == -EINVAL ? refuse(found, "the search cannot go on from there") : r;
}

int search_run(const Maestro__SearchJob *job, Maestro__SearchFound **ret_found)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ char *text = bytes_dup(&job->search->pattern);
	Maestro__SearchFound *found = malloc(sizeof(*found));
	struct pattern pattern = PATTERN_NULL;
	int r;

	if (!text || !found) {
		free(found);
		return -ENOMEM;
	}
	maestro__search_found__init(found);
	if (strlen(text) != job->search->pattern.len || strlen(text) > SEARCH_PATTERN_BYTES_MAX)
		r = refuse(found, "the pattern is too long, or has a NUL in it");
	else
		r = pattern_init(&pattern, text, job->search->fixed, job->search->ignore_case, &error);
	if (r == PATTERN_E_INVALID)
		r = refuse(found, error.why);
	else if (!r && !found->has_refused)
		r = search_with(job, &pattern, found);
	pattern_deinit(&pattern);
	if (r)
		maestro__search_found__free_unpacked(found, NULL);
	else
		*ret_found = found;
	return r;
}
