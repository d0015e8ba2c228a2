/* against judge DIR COLSxROWS tmux|xterm [KNOWN]: our picture of the pieces beside what the other terminal wrote down.
 * KNOWN: a file of lines "PIECE ROW COLUMN KIND", each a glob or a number or a range, then why. */
#include "tests/against/against.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "worker/screen/emulator.h"

#define FILE_BYTES_MAX (4U << 20)
#define KNOWN_MAX 100U
#define SHOWN_MAX 12U

struct known {
	char piece[40];
	unsigned int row[2], col[2];
	char kind[16];
	unsigned int met;
};

struct judge {
	struct emulator *emulator;
	const char *dir, *peer;
	struct known known[KNOWN_MAX];
	unsigned int known_count;
	unsigned int differences, excused;
	char piece[40];
};

static bool range_of(const char *text, unsigned int range[2])
{
	range[0] = 1;
	range[1] = 65535;
	if (!strcmp(text, "*"))
		return true;
	if (sscanf(text, "%u-%u", &range[0], &range[1]) == 2)
		return true;
	range[1] = range[0] = (unsigned int)atoi(text);
	return range[0] > 0;
}

static int read_known(struct judge *judge, const char *path)
{
	char line[1000], row[20], col[20];
	FILE *file = path ? fopen(path, "r") : NULL;

	if (path && !file)
		return -1;
	while (file && fgets(line, sizeof(line), file)) {
		struct known *known = &judge->known[judge->known_count];

		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (judge->known_count == KNOWN_MAX || sscanf(line, "%39s %19s %19s %15s", known->piece, row, col, known->kind) != 4 ||
			!range_of(row, known->row) || !range_of(col, known->col)) {
			printf("%s: not understood: %s", path, line);
			return fclose(file), -1;
		}
		judge->known_count++;
	}
	return file ? fclose(file) : 0;
}

static bool is_known(struct judge *judge, unsigned int y, unsigned int x, const char *kind)
{
	for (unsigned int i = 0; i < judge->known_count; i++) {
		struct known *known = &judge->known[i];

		if (fnmatch(known->piece, judge->piece, 0) || y + 1 < known->row[0] || y + 1 > known->row[1] ||
			x + 1 < known->col[0] || x + 1 > known->col[1] || fnmatch(known->kind, kind, 0))
			continue;
		known->met++;
		return true;
	}
	return false;
}

static void differs(struct judge *judge, unsigned int y, unsigned int x, const char *kind, const char *ours, const char *theirs)
{
	if (is_known(judge, y, x, kind)) {
		judge->excused++;
		return;
	}
	if (++judge->differences <= SHOWN_MAX)
		printf("%s: row %u, column %u: %s is %s, %s has %s\n", judge->piece, y + 1, x + 1, kind, ours, judge->peer, theirs);
}

/* --- tmux: text with SGR, read by an emulator of its own --- */

static void style_text(const struct screen_style *style, char *out, size_t size)
{
	snprintf(out, size, "%02x/%u/%x/%x", style->attributes, style->underline, style->foreground, style->background);
}

static void compare_cells(struct judge *judge, const struct screen *ours, const struct screen *theirs)
{
	char a_buffer[SCREEN_CLUSTER_BYTES_MAX + 1], b_buffer[SCREEN_CLUSTER_BYTES_MAX + 1], a_style[40], b_style[40];

	for (unsigned int y = 0; y < ours->rows; y++)
		for (unsigned int x = 0; x < ours->cols; x++) {
			const struct screen_cell *a = &ours->row[y].cells[x], *b = &theirs->row[y].cells[x];
			const char *a_text, *b_text;
			size_t a_len = screen_cell_text(ours, a, a_buffer, &a_text), b_len = screen_cell_text(theirs, b, b_buffer, &b_text);

			if (a_len != b_len || memcmp(a_text, b_text, a_len)) {
				snprintf(a_style, sizeof(a_style), "\"%.*s\"", (int)a_len, a_text);
				snprintf(b_style, sizeof(b_style), "\"%.*s\"", (int)b_len, b_text);
				differs(judge, y, x, "text", a_style, b_style);
			}
			/* capture-pane leaves out the end of a line that was only erased, and so its colour. */
			if (x >= theirs->row[y].used)
				continue;
			style_text(screen_style(ours, a->style), a_style, sizeof(a_style));
			style_text(screen_style(theirs, b->style), b_style, sizeof(b_style));
			if (a->width && strcmp(a_style, b_style))
				differs(judge, y, x, "style", a_style, b_style);
		}
}

static int judge_tmux(struct judge *judge, char *capture)
{
	const struct screen *ours = emulator_screen(judge->emulator);
	struct emulator *theirs;
	char *line = capture, *end;

	if (emulator_new(&theirs, ours->cols, ours->rows, 0) < 0)
		return -1;
	emulator_write(theirs, "\033[?7l", 5);
	for (unsigned int y = 0; y < ours->rows && *line; y++, line = end + 1) {
		end = line + strcspn(line, "\n");
		if (y)
			emulator_write(theirs, "\r\n", 2);
		emulator_write(theirs, line, (size_t)(end - line));
		if (!*end)
			break;
	}
	compare_cells(judge, ours, emulator_screen(theirs));
	emulator_free(theirs);
	return 0;
}

/* --- xterm: a checksum for each cell --- */

static void our_sum(struct emulator *emulator, unsigned int y, unsigned int x, char *out, size_t size)
{
	_cleanup_(buf_deinit) struct buf reply = BUF_NULL;
	char ask[64];
	const char *sum;

	snprintf(ask, sizeof(ask), "\033[7;1;%u;%u;%u;%u*y", y + 1, x + 1, y + 1, x + 1);
	emulator_write(emulator, ask, strlen(ask));
	emulator_take_reply(emulator, &reply);
	sum = strstr(buf_text(&reply), "!~");
	snprintf(out, size, "%.4s", sum ? sum + 2 : "?");
}

static int judge_xterm(struct judge *judge, char *sums)
{
	const struct screen *screen = emulator_screen(judge->emulator);
	char *at = sums, ours[8];

	emulator_write(judge->emulator, "\0337\033[?6l", 7);
	for (unsigned int y = 0; y < screen->rows; y++)
		for (unsigned int x = 0; x < screen->cols; x++) {
			char *theirs = at + strspn(at, " \n"), *end = theirs + strcspn(theirs, " \n");

			if (end == theirs)
				return -1;
			at = end + (*end != 0);
			*end = 0;
			our_sum(judge->emulator, y, x, ours, sizeof(ours));
			if (strcmp(ours, theirs))
				differs(judge, y, x, "sum", ours, theirs);
		}
	emulator_write(judge->emulator, "\0338", 2);
	return 0;
}

static int judge_piece(struct judge *judge, unsigned int number)
{
	_cleanup_free_ char *data = NULL, *theirs = NULL;
	_cleanup_(buf_deinit) struct buf reply = BUF_NULL;
	char path[AGAINST_PATH_MAX];
	size_t len, theirs_len;

	snprintf(judge->piece, sizeof(judge->piece), "%03u", number);
	snprintf(path, sizeof(path), "%s/%03u.bin", judge->dir, number);
	if (io_read_file(path, FILE_BYTES_MAX, &data, &len))
		return 0;
	emulator_write(judge->emulator, data, len);
	emulator_take_reply(judge->emulator, &reply);
	snprintf(path, sizeof(path), "%s/%03u.%s", judge->dir, number, judge->peer);
	if (io_read_file(path, FILE_BYTES_MAX, &theirs, &theirs_len)) {
		printf("%s: is missing\n", path);
		return -1;
	}
	return (strcmp(judge->peer, "xterm") ? judge_tmux : judge_xterm)(judge, theirs) < 0 ? -1 : 1;
}

int against_judge(int argc, char **argv)
{
	struct judge judge = { .dir = argv[0], .peer = argv[2] };
	unsigned int cols, rows, pieces = 0;
	int r;

	if (argc < 3 || sscanf(argv[1], "%ux%u", &cols, &rows) != 2 || read_known(&judge, argv[3]) ||
		emulator_new(&judge.emulator, cols, rows, 100000) < 0)
		return 2;
	while ((r = judge_piece(&judge, pieces)) > 0)
		pieces++;
	emulator_free(judge.emulator);
	printf("%u pictures beside %s's: %u cells differ, %u more as known\n", pieces, judge.peer, judge.differences, judge.excused);
	for (unsigned int i = 0; i < judge.known_count; i++)
		if (!judge.known[i].met)
			printf("known, but not met: %s %s\n", judge.known[i].piece, judge.known[i].kind);
	return r < 0 || judge.differences || pieces == 0;
}
