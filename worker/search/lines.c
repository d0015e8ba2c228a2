#include "worker/search/lines.h"

#include <string.h>
#include "proto/wire/message.h"

static void forget_before(struct lines *lines)
{
	for (uint32_t i = 0; i < lines->before_count; i++)
		free(lines->before[i].text);
	lines->before_count = 0;
}

void lines_deinit(struct lines *lines)
{
	forget_before(lines);
	buf_deinit(&lines->text);
}

void lines_reset(struct lines *lines)
{
	forget_before(lines);
	buf_clear(&lines->text);
	lines->plain = PLAIN_NULL;
	lines->number = lines->told = 0;
	lines->time_ms = 0;
	lines->after = 0;
}

static int keep_before(struct lines *lines, uint64_t number, int64_t time_ms, const void *text, size_t len)
{
	struct lines_before *before;

	if (!lines->context)
		return 0;
	if (lines->before_count == lines->context) {
		free(lines->before[0].text);
		memmove(lines->before, lines->before + 1, --lines->before_count * sizeof(lines->before[0]));
	}
	before = &lines->before[lines->before_count];
	*before = (struct lines_before){ .number = number, .time_ms = time_ms, .text = malloc(len + 1), .len = len };
	if (!before->text)
		return -ENOMEM;
	if (len)
		memcpy(before->text, text, len);
	before->text[len] = '\0';
	lines->before_count++;
	return 0;
}

static int tell(struct lines *lines, uint64_t number, int64_t time_ms, const char *text, size_t len, bool context)
{
	return number > lines->told ? lines->tell(lines->userdata, number, time_ms, text, len, context) : 0;
}

static int tell_match(struct lines *lines, const char *text, size_t len)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < lines->before_count; i++) {
		const struct lines_before *before = &lines->before[i];

		r = tell(lines, before->number, before->time_ms, before->text, before->len, true);
	}
	forget_before(lines);
	lines->after = lines->context;
	return r ? r : tell(lines, lines->number, lines->time_ms, text, len, false);
}

static int look_at(struct lines *lines, char *text, size_t len)
{
	char end = text[len];
	bool match;

	lines->number++;
	text[len] = '\0'; /* plain text has no NUL of its own */
	match = pattern_matches(lines->pattern, text, len);
	text[len] = end;
	if (match)
		return tell_match(lines, text, len);
	if (!lines->after)
		return keep_before(lines, lines->number, lines->time_ms, text, len);
	lines->after--;
	return tell(lines, lines->number, lines->time_ms, text, len, true);
}

/* Lines that are whole, or too long to wait for their end; the next one begins now. */
static int look_at_whole(struct lines *lines, int64_t wall_ms)
{
	size_t at = 0;
	int r = 0;

	while (!r && at < lines->text.len) {
		char *begin = (char *)lines->text.data + at;
		size_t left = lines->text.len - at;
		char *newline = memchr(begin, '\n', left < LINES_BYTES_MAX + 1 ? left : LINES_BYTES_MAX + 1);
		size_t len = newline ? (size_t)(newline - begin) : LINES_BYTES_MAX;

		if (!newline && left <= LINES_BYTES_MAX)
			break;
		while (!newline && len > 1 && (begin[len] & 0xc0) == 0x80)
			len--; /* not within a character */
		r = look_at(lines, begin, len);
		at += len + (newline != NULL);
		lines->time_ms = wall_ms;
	}
	buf_consume(&lines->text, at);
	return r;
}

int lines_feed(struct lines *lines, const void *data, size_t len, int64_t wall_ms)
{
	int r;

	if (!lines->text.len)
		lines->time_ms = wall_ms;
	r = plain_feed(&lines->plain, data, len, &lines->text);
	return r ? r : look_at_whole(lines, wall_ms);
}

int lines_end(struct lines *lines)
{
	int r = lines->text.len ? look_at(lines, (char *)lines->text.data, lines->text.len) : 0;

	buf_clear(&lines->text);
	lines->plain = PLAIN_NULL;
	return r;
}

/* --- a cursor ------------------------------------------------------------------------------------------------- */

int lines_save(const struct lines *lines, Maestro__SearchCursor **ret_cursor)
{
	_cleanup_(buf_deinit) struct buf plain = BUF_NULL;
	Maestro__SearchCursor cursor = MAESTRO__SEARCH_CURSOR__INIT;
	Maestro__SearchLine before[LINES_CONTEXT_MAX], *pointers[LINES_CONTEXT_MAX];
	int r = plain_save(&lines->plain, &plain);

	if (r)
		return r;
	for (uint32_t i = 0; i < lines->before_count; i++) {
		maestro__search_line__init(pointers[i] = &before[i]);
		before[i].number = lines->before[i].number;
		before[i].has_time_ms = true;
		before[i].time_ms = lines->before[i].time_ms;
		before[i].text = (ProtobufCBinaryData){ lines->before[i].len, (uint8_t *)lines->before[i].text };
	}
	cursor.n_before = lines->before_count;
	cursor.before = pointers;
	cursor.has_number = cursor.has_told = cursor.has_time_ms = cursor.has_text = cursor.has_plain = cursor.has_after = true;
	cursor.number = lines->number;
	cursor.told = lines->told;
	cursor.time_ms = lines->time_ms;
	cursor.text = (ProtobufCBinaryData){ lines->text.len, lines->text.data };
	cursor.plain = (ProtobufCBinaryData){ plain.len, plain.data };
	cursor.after = lines->after;
	*ret_cursor = message_copy(&cursor);
	return *ret_cursor ? 0 : -ENOMEM;
}

/* It went through a person's program: a line has no NUL and no more bytes than one of ours. */
static bool line_valid(const ProtobufCBinaryData *text)
{
	return text->len <= 2 * LINES_BYTES_MAX && (!text->len || !memchr(text->data, 0, text->len));
}

int lines_load(struct lines *lines, const Maestro__SearchCursor *cursor)
{
	int r = 0;

	lines_reset(lines);
	if (!line_valid(&cursor->text) || cursor->n_before > lines->context || cursor->after > lines->context ||
		(cursor->has_plain && !plain_load(&lines->plain, cursor->plain.data, cursor->plain.len)))
		return LINES_E_INVALID;
	for (size_t i = 0; !r && i < cursor->n_before; i++) {
		const Maestro__SearchLine *line = cursor->before[i];

		r = line_valid(&line->text) ? keep_before(lines, line->number, line->time_ms, line->text.data, line->text.len)
					    : LINES_E_INVALID;
	}
	if (!r && cursor->text.len)
		r = buf_append(&lines->text, cursor->text.data, cursor->text.len);
	lines->number = cursor->number;
	lines->told = cursor->told;
	lines->time_ms = cursor->time_ms;
	lines->after = cursor->after;
	return r;
}
