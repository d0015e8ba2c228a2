#include "console/cli/print.h"
#include "proto/base/clock.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

static const char *const sequences[] = {
	[COLOUR_NONE] = "",
	[COLOUR_BOLD] = "\033[1m",
	[COLOUR_FAINT] = "\033[2m",
	[COLOUR_RED] = "\033[31m",
	[COLOUR_GREEN] = "\033[32m",
	[COLOUR_YELLOW] = "\033[33m",
	[COLOUR_BLUE] = "\033[34m",
	[COLOUR_MAGENTA] = "\033[35m",
	[COLOUR_CYAN] = "\033[36m",
};

const char *colour_begin(bool colours, enum colour colour)
{
	return colours ? sequences[colour] : "";
}

const char *colour_end(bool colours, enum colour colour)
{
	return colours && colour != COLOUR_NONE ? "\033[m" : "";
}

enum colour colour_of_task(Maestro__TaskState state)
{
	static const enum colour colours[] = {
		[MAESTRO__TASK_STATE__TASK_QUEUED] = COLOUR_FAINT,
		[MAESTRO__TASK_STATE__TASK_STARTING] = COLOUR_CYAN,
		[MAESTRO__TASK_STATE__TASK_RUNNING] = COLOUR_CYAN,
		[MAESTRO__TASK_STATE__TASK_REVIEW] = COLOUR_YELLOW,
		[MAESTRO__TASK_STATE__TASK_DONE] = COLOUR_GREEN,
		[MAESTRO__TASK_STATE__TASK_FAILED] = COLOUR_RED,
		[MAESTRO__TASK_STATE__TASK_LOST] = COLOUR_RED,
		[MAESTRO__TASK_STATE__TASK_MERGED] = COLOUR_GREEN,
		[MAESTRO__TASK_STATE__TASK_REJECTED] = COLOUR_FAINT,
		[MAESTRO__TASK_STATE__TASK_CANCELLED] = COLOUR_FAINT,
	};

	return (size_t)state < ARRAY_SIZE(colours) ? colours[state] : COLOUR_NONE;
}

enum colour colour_of_worker(Maestro__WorkerState state)
{
	if (state == MAESTRO__WORKER_STATE__WORKER_READY)
		return COLOUR_GREEN;
	return state == MAESTRO__WORKER_STATE__WORKER_SUSPECT ? COLOUR_YELLOW : COLOUR_RED;
}

size_t print_columns(const char *text)
{
	size_t columns = 0, len = strlen(text);
	uint32_t code;

	for (size_t i = 0; i < len;) {
		int n = str_utf8_next(text + i, len - i, &code);

		if (n > 0) {
			int width = utf8proc_charwidth((utf8proc_int32_t)code);

			columns += width > 0 ? (size_t)width : 0;
		}
		i += n > 0 ? (size_t)n : 1;
	}
	return columns;
}

char *print_clean(const void *data, size_t len)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	if (len && str_clean(&out, data, len))
		return NULL;
	return out.data ? buf_take(&out) : strdup("");
}

char *print_clean_bytes(protobuf_c_boolean has, const ProtobufCBinaryData *data)
{
	return print_clean(data->data, has ? data->len : 0);
}

const char *print_age(protobuf_c_boolean has, int64_t wall_ms, char *buffer)
{
	int64_t age_ms = clock_wall_ms() - wall_ms;

	if (!has || wall_ms <= 0)
		return "-";
	return clock_format_age(age_ms > 0 ? (uint64_t)age_ms : 0, buffer);
}

const char *print_bytes(protobuf_c_boolean has, uint64_t bytes, char *buffer)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t unit = 0;

	if (!has)
		return "-";
	for (; value >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
		value /= 1024;
	snprintf(buffer, PRINT_BYTES_MAX, unit && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buffer;
}

void print_field(const struct cli *cli, const char *label, const char *text)
{
	_cleanup_free_ char *clean = print_clean(text, text ? strlen(text) : 0);

	if (clean && *clean)
		printf("%s%-12s%s %s\n", colour_begin(cli->colours, COLOUR_FAINT), label,
			colour_end(cli->colours, COLOUR_FAINT), clean);
}

/* --- tables -------------------------------------------------------------------------------------------------- */

void table_deinit(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	table->cells = NULL;
	table->count = table->size = 0;
}

static int add_clean(struct table *table, enum colour colour, const void *data, size_t len)
{
	char *text;

	if (table->count == table->size) {
		size_t size = table->size ? table->size * 2 : 64;
		struct table_cell *cells = realloc(table->cells, size * sizeof(*cells));

		if (!cells)
			return -ENOMEM;
		table->cells = cells;
		table->size = size;
	}
	text = len ? print_clean(data, len) : strdup("-");
	if (!text)
		return -ENOMEM;
	table->cells[table->count++] = (struct table_cell){ text, colour };
	return 0;
}

int table_add(struct table *table, enum colour colour, const char *text)
{
	return add_clean(table, colour, text, text ? strlen(text) : 0);
}

int table_add_bytes(struct table *table, enum colour colour, protobuf_c_boolean has, const ProtobufCBinaryData *data)
{
	return add_clean(table, colour, data->data, has ? data->len : 0);
}

int table_add_number(struct table *table, enum colour colour, protobuf_c_boolean has, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	return table_add(table, colour, has ? text : NULL);
}

/* Widths of the columns; the flexible ones give way until the line fits, but stay at 8 or more. */
static void measure(const struct table *table, unsigned int width, size_t *widths)
{
	size_t n = table->columns_count, total = n ? 2 * (n - 1) : 0;

	for (size_t c = 0; c < n; c++)
		widths[c] = print_columns(table->columns[c].title);
	for (size_t i = 0; i < table->count; i++) {
		size_t columns = print_columns(table->cells[i].text);

		if (columns > widths[i % n])
			widths[i % n] = columns;
	}
	for (size_t c = 0; c < n; c++)
		total += widths[c];
	for (size_t c = n; width && total > width && c-- > 0;) {
		size_t excess = total - width, room = widths[c] > 8 ? widths[c] - 8 : 0;

		if (!table->columns[c].flexible)
			continue;
		widths[c] -= excess < room ? excess : room;
		total -= excess < room ? excess : room;
	}
}

/* At most `width` columns of the text; what is cut ends with an ellipsis. */
static void put_cut(const char *text, size_t width, FILE *out)
{
	size_t columns = 0, len = strlen(text), i = 0;
	bool cut = print_columns(text) > width;
	uint32_t code;

	while (i < len) {
		int n = str_utf8_next(text + i, len - i, &code);
		int w = n > 0 ? utf8proc_charwidth((utf8proc_int32_t)code) : 0;

		if (n <= 0 || columns + (size_t)(w > 0 ? w : 0) + (cut ? 1 : 0) > width)
			break;
		columns += (size_t)(w > 0 ? w : 0);
		i += (size_t)n;
	}
	fwrite(text, 1, i, out);
	if (cut)
		fputs("…", out);
}

static void put_cell(const struct table_column *column, const char *text, enum colour colour, size_t width, bool last,
	const struct cli *cli, FILE *out)
{
	size_t columns = print_columns(text), pad = columns < width ? width - columns : 0;

	if (column->right)
		fprintf(out, "%*s", (int)pad, "");
	fputs(colour_begin(cli->colours, colour), out);
	put_cut(text, width, out);
	fputs(colour_end(cli->colours, colour), out);
	if (!last)
		fprintf(out, "%*s", (int)(column->right ? 2 : pad + 2), "");
}

int table_print(const struct table *table, const struct cli *cli, FILE *out)
{
	size_t n = table->columns_count;
	_cleanup_free_ size_t *widths = calloc(n, sizeof(*widths));

	if (!widths)
		return -ENOMEM;
	if (!table->count)
		return 0;
	measure(table, cli->width, widths);
	for (size_t c = 0; c < n; c++)
		put_cell(&table->columns[c], table->columns[c].title, COLOUR_BOLD, widths[c], c + 1 == n, cli, out);
	fputc('\n', out);
	for (size_t i = 0; i < table->count; i++) {
		put_cell(&table->columns[i % n], table->cells[i].text, table->cells[i].colour, widths[i % n],
			i % n + 1 == n, cli, out);
		if (i % n + 1 == n)
			fputc('\n', out);
	}
	return 0;
}
