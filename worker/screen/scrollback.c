#include "worker/screen/scrollback.h"

#include <string.h>

#define CHUNK_BYTES_MIN 16384U
#define CHUNK_BYTES_MAX 65536U
#define CHUNKS_OF_LIMIT 8U /* so that dropping one loses little */

/* Lines grow from the front, their offsets from the back. */
struct scrollback_chunk {
	uint64_t first; /* number of its first line */
	uint32_t lines, used, size;
	uint8_t data[];
};

struct line_head {
	uint16_t cells : 15;
	uint16_t wrapped : 1;
	struct screen_mark mark;
};

enum run_kind {
	RUN_BYTES, /* ASCII */
	RUN_CODES, /* 16 bits each */
	RUN_CELLS, /* as they are: wide ones, clusters, protected ones, codes beyond */
};

static const uint8_t run_cell_bytes[] = { 1, 2, sizeof(struct screen_cell), sizeof(struct screen_cell) };

#define RUN_COUNT_MASK 0x3fff

struct run_head {
	uint16_t style;
	uint16_t count : 14;
	uint16_t kind : 2; /* enum run_kind */
};

/* A new run for every cell is the worst case. */
#define LINE_BYTES_MAX(cells) (sizeof(struct line_head) + (cells) * (sizeof(struct run_head) + sizeof(struct screen_cell)))

void scrollback_init(struct scrollback *scrollback, size_t limit_bytes)
{
	*scrollback = (struct scrollback){ .limit_bytes = limit_bytes };
}

void scrollback_clear(struct scrollback *scrollback)
{
	for (size_t i = 0; i < scrollback->chunk_count; i++)
		free(scrollback->chunks[i]);
	scrollback->first += scrollback->count;
	scrollback->chunk_count = scrollback->count = scrollback->bytes = 0;
}

void scrollback_deinit(struct scrollback *scrollback)
{
	scrollback_clear(scrollback);
	free(scrollback->chunks);
	*scrollback = (struct scrollback){ 0 };
}

static uint32_t *line_offset(struct scrollback_chunk *chunk, uint32_t line)
{
	return (uint32_t *)(void *)(chunk->data + chunk->size) - 1 - line;
}

static size_t chunk_bytes(const struct scrollback *scrollback)
{
	size_t bytes = scrollback->limit_bytes / CHUNKS_OF_LIMIT / 16 * 16;

	return bytes < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : bytes > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : bytes;
}

/* Takes the oldest chunk out, without freeing it. */
static struct scrollback_chunk *take_oldest(struct scrollback *scrollback)
{
	struct scrollback_chunk *chunk = scrollback->chunks[0];

	scrollback->chunk_count--;
	memmove(scrollback->chunks, scrollback->chunks + 1,
		scrollback->chunk_count * sizeof(struct scrollback_chunk *));
	scrollback->bytes -= chunk->size;
	scrollback->first += chunk->lines;
	scrollback->count -= chunk->lines;
	return chunk;
}

void scrollback_set_limit(struct scrollback *scrollback, size_t limit_bytes)
{
	scrollback->limit_bytes = limit_bytes;
	if (limit_bytes == 0)
		scrollback_clear(scrollback);
	while (scrollback->chunk_count > 1 && scrollback->bytes > limit_bytes)
		free(take_oldest(scrollback));
}

static int reserve_pointer(struct scrollback *scrollback)
{
	size_t size = scrollback->chunk_size ? scrollback->chunk_size * 2 : 8;
	struct scrollback_chunk **chunks;

	if (scrollback->chunk_count < scrollback->chunk_size)
		return 0;
	chunks = realloc(scrollback->chunks, size * sizeof(struct scrollback_chunk *));
	if (!chunks)
		return -ENOMEM;
	scrollback->chunks = chunks;
	scrollback->chunk_size = size;
	return 0;
}

static struct scrollback_chunk *add_chunk(struct scrollback *scrollback)
{
	size_t size = chunk_bytes(scrollback);
	struct scrollback_chunk *chunk = NULL;

	if (reserve_pointer(scrollback) < 0)
		return NULL;
	while (scrollback->chunk_count && scrollback->bytes + size > scrollback->limit_bytes) {
		free(chunk);
		chunk = take_oldest(scrollback);
	}
	if (!chunk)
		chunk = malloc(sizeof(*chunk) + size);
	if (!chunk)
		return NULL;
	*chunk = (struct scrollback_chunk){ .first = scrollback->first + scrollback->count, .size = (uint32_t)size };
	scrollback->chunks[scrollback->chunk_count++] = chunk;
	scrollback->bytes += size;
	return chunk;
}

/* What cells of a run differ in that is packed narrower than they are. */
#define BYTE_MASK 0x7fULL
#define CODE_MASK 0xffffULL

static uint64_t cell_bits(const struct screen_cell *cell)
{
	uint64_t bits;

	_Static_assert(sizeof(*cell) == sizeof(bits) && offsetof(struct screen_cell, glyph) == 0, "cells are 8 bytes");
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the glyph is in the lower bits");
	memcpy(&bits, cell, sizeof(bits));
	return bits;
}

static bool cell_narrow(const struct screen_cell *cell)
{
	return cell->glyph <= CODE_MASK && cell->width == 1 && cell->flags == 0;
}

/* How many cells belong to the run that starts here, and as what they are packed. */
static unsigned int measure_run(const struct screen_cell *cells, unsigned int count, enum run_kind *ret_kind)
{
	uint64_t first = cell_bits(cells), bits = first, seen = 0;
	unsigned int i = 0;

	if (!cell_narrow(cells)) {
		while (i < count && cells[i].style == cells->style && !cell_narrow(&cells[i]))
			i++;
		*ret_kind = RUN_CELLS;
		return i;
	}
	for (; i < count && ((bits = cell_bits(&cells[i])) & ~CODE_MASK) == (first & ~CODE_MASK); i++)
		seen |= bits;
	*ret_kind = (seen & CODE_MASK) <= BYTE_MASK ? RUN_BYTES : RUN_CODES;
	return i;
}

/* Packs the run at the front; *ret_count cells belong to it. */
static uint8_t *pack_run(uint8_t *at, const struct screen_cell *cells, unsigned int count, unsigned int *ret_count)
{
	struct run_head head = { .style = cells->style };
	uint8_t *text = at + sizeof(head);
	enum run_kind kind;

	count = measure_run(cells, count, &kind);
	head.count = (uint16_t)(count & RUN_COUNT_MASK);
	head.kind = kind & 3;
	memcpy(at, &head, sizeof(head));
	*ret_count = count;
	if (kind == RUN_CELLS)
		memcpy(text, cells, count * sizeof(*cells));
	else if (kind == RUN_BYTES)
		for (unsigned int i = 0; i < count; i++)
			text[i] = (uint8_t)cells[i].glyph;
	else
		for (unsigned int i = 0; i < count; i++)
			memcpy(text + 2 * i, &cells[i].glyph, 2);
	return text + count * run_cell_bytes[kind];
}

static uint8_t *pack_line(uint8_t *at, const struct screen_cell *cells, unsigned int count, bool wrapped,
	struct screen_mark mark)
{
	struct line_head head = { .cells = count & 0x7fff, .wrapped = wrapped, .mark = mark };
	unsigned int start = 0, run;

	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	for (; start < count; start += run)
		at = pack_run(at, cells + start, count - start, &run);
	return at;
}

int scrollback_push(struct scrollback *scrollback, const struct screen_cell *cells, unsigned int count, bool wrapped,
	struct screen_mark mark)
{
	struct scrollback_chunk *chunk = NULL;
	uint8_t *end;

	if (scrollback->limit_bytes == 0)
		return 0;
	if (scrollback->chunk_count)
		chunk = scrollback->chunks[scrollback->chunk_count - 1];
	while (!wrapped && count && cells[count - 1].glyph == ' ' && cells[count - 1].style == 0)
		count--;
	if (!chunk || chunk->used + LINE_BYTES_MAX(count) + (chunk->lines + 1) * sizeof(uint32_t) > chunk->size)
		chunk = add_chunk(scrollback);
	if (!chunk)
		return -ENOMEM;
	*line_offset(chunk, chunk->lines) = chunk->used;
	end = pack_line(chunk->data + chunk->used, cells, count, wrapped, mark);
	chunk->used = (uint32_t)(end - chunk->data);
	chunk->lines++;
	scrollback->count++;
	return 0;
}

/* Returns where the next run starts. */
static const uint8_t *unpack_run(const uint8_t *at, struct screen_cell *cells, size_t size, unsigned int *ret_count)
{
	struct run_head head;
	size_t step;

	memcpy(&head, at, sizeof(head));
	at += sizeof(head);
	step = run_cell_bytes[head.kind];
	for (unsigned int i = 0; i < head.count && i < size; i++) {
		cells[i] = (struct screen_cell){ .glyph = 0, .style = head.style, .width = 1 };
		memcpy(&cells[i], at + i * step, step);
	}
	*ret_count = head.count;
	return at + head.count * step;
}

static struct scrollback_chunk *find_chunk(const struct scrollback *scrollback, uint64_t number)
{
	size_t low = 0, high = scrollback->chunk_count;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (scrollback->chunks[middle]->first <= number)
			low = middle;
		else
			high = middle;
	}
	return scrollback->chunks[low];
}

static unsigned int unpack_line(struct scrollback_chunk *chunk, uint32_t line, struct screen_cell *cells, size_t size,
	bool *ret_wrapped)
{
	const uint8_t *at = chunk->data + *line_offset(chunk, line);
	unsigned int done = 0, count;
	struct line_head head;

	memcpy(&head, at, sizeof(head));
	at += sizeof(head);
	while (done < head.cells && done < size) {
		at = unpack_run(at, cells + done, size - done, &count);
		done += count;
	}
	if (ret_wrapped)
		*ret_wrapped = head.wrapped;
	return head.cells;
}

unsigned int scrollback_read(const struct scrollback *scrollback, size_t line, struct screen_cell *cells, size_t size,
	bool *ret_wrapped)
{
	uint64_t number = scrollback->first + line;
	struct scrollback_chunk *chunk;

	require(line < scrollback->count);
	chunk = find_chunk(scrollback, number);
	return unpack_line(chunk, (uint32_t)(number - chunk->first), cells, size, ret_wrapped);
}

struct screen_mark scrollback_prompt(const struct scrollback *scrollback, size_t line)
{
	uint64_t number = scrollback->first + line;
	struct scrollback_chunk *chunk;
	struct line_head head;

	require(line < scrollback->count);
	chunk = find_chunk(scrollback, number);
	memcpy(&head, chunk->data + *line_offset(chunk, (uint32_t)(number - chunk->first)), sizeof(head));
	return head.mark;
}

void scrollback_truncate(struct scrollback *scrollback, size_t lines)
{
	struct scrollback_chunk *chunk;
	uint32_t part;

	require(lines <= scrollback->count);
	while (lines) {
		chunk = scrollback->chunks[scrollback->chunk_count - 1];
		part = lines < chunk->lines ? (uint32_t)lines : chunk->lines;
		chunk->lines -= part;
		scrollback->count -= part;
		lines -= part;
		if (chunk->lines) {
			chunk->used = *line_offset(chunk, chunk->lines);
			continue;
		}
		scrollback->bytes -= chunk->size;
		scrollback->chunk_count--;
		free(chunk);
	}
}

void scrollback_halve(struct scrollback *scrollback)
{
	size_t drop = (scrollback->chunk_count + 1) / 2;

	for (size_t i = 0; i < drop; i++)
		free(take_oldest(scrollback));
}

/* The packed line as it is: a run has one style, and letters need no other mark. */
static void mark_line(const uint8_t *at, struct screen_marks *marks)
{
	struct screen_cell cell;
	struct line_head line;
	struct run_head run;

	memcpy(&line, at, sizeof(line));
	at += sizeof(line);
	for (unsigned int done = 0; done < line.cells; done += run.count) {
		memcpy(&run, at, sizeof(run));
		at += sizeof(run);
		cell = (struct screen_cell){ .glyph = ' ', .style = run.style };
		screen_collect_mark(marks, &cell, 1);
		for (unsigned int i = 0; run.kind == RUN_CELLS && i < run.count; i++) {
			memcpy(&cell, at + i * sizeof(cell), sizeof(cell));
			if (cell.glyph & SCREEN_GLYPH_CLUSTER)
				screen_collect_mark(marks, &cell, 1);
		}
		at += run.count * run_cell_bytes[run.kind];
	}
}

void scrollback_mark(const struct scrollback *scrollback, struct screen_marks *marks)
{
	struct scrollback_chunk *chunk;

	for (size_t i = 0; i < scrollback->chunk_count; i++) {
		chunk = scrollback->chunks[i];
		for (uint32_t line = 0; line < chunk->lines; line++)
			mark_line(chunk->data + *line_offset(chunk, line), marks);
	}
}
