/* The emulator: output, resizes, and its size at the beginning, from one input. Byte 0xff 0xff, which no UTF-8 has,
 * starts a command: a resize, or a write of single bytes from here on. After each step the grid must be whole, and the
 * difference must bring the receiver to the same picture. */
#include <string.h>
#include "proto/base/buf.h"
#include "worker/screen/internal.h"

/* An input ends early once it has cost this much, so that thousands run in a second: four bytes can ask for a screen of
 * cells, and each step compares pictures. */
#define WORK_CELLS_MAX 50000U
#define STEPS_MAX 32U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct session {
	struct emulator *emulator;
	struct screen sent, shown;
	uint64_t frame;
	bool bytewise;
};

static void check_row(const struct screen *screen, const struct screen_row *row)
{
	for (unsigned int i = 0; i < screen->cols; i++) {
		const struct screen_cell *cell = &row->cells[i];

		require(cell->width <= 2);
		if (cell->width == 2)
			require(i + 1 < screen->cols && row->cells[i + 1].width == 0);
		if (cell->width == 0)
			require(i > 0 && row->cells[i - 1].width == 2);
		if (i >= row->used)
			require(cell->glyph == ' ' && cell->style == 0 && cell->width == 1);
		require(cell->style < screen->styles.count && screen->styles.known[cell->style]);
	}
}

static void check_grid(const struct screen *screen)
{
	require(screen->cursor_row < screen->rows && screen->cursor_col < screen->cols);
	for (unsigned int i = 0; i < screen->rows; i++)
		check_row(screen, &screen->row[i]);
}

static void send(struct session *session)
{
	struct buf update = BUF_NULL;
	struct screen next = SCREEN_NULL;
	int r;

	check_grid(emulator_screen(session->emulator));
	require(screen_copy(&next, emulator_screen(session->emulator)) == 0);
	next.frame = ++session->frame;
	r = screen_encode(&session->sent, &next, &update, NULL);
	if (r == 0) {
		require(screen_apply(&session->shown, update.data, update.len) == 0);
		check_grid(&session->shown);
		require(screen_equal(&session->shown, &next));
		screen_deinit(&session->sent);
		session->sent = next;
	} else {
		require(r == -EMSGSIZE);
		screen_deinit(&next);
	}
	buf_deinit(&update);
}

/* A character that only the edge of the screen kept from becoming two columns wide: printed elsewhere it would. */
static bool cramped(const struct screen *screen, const struct screen_cell *cell)
{
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t len = screen_cell_text(screen, cell, buffer, &text);

	return cell->width == 1 && (memmem(text, len, "\xef\xb8\x8f", 3) || memmem(text, len, "\xf0\x9f\x87", 3));
}

static bool any_cramped(const struct screen *screen)
{
	for (unsigned int i = 0; i < screen->rows; i++)
		for (unsigned int j = 0; j < screen->row[i].used; j++)
			if (cramped(screen, &screen->row[i].cells[j]))
				return true;
	return false;
}

/* Written down and taken by another terminal, it is the same picture. */
static void check_snapshot(const struct session *session)
{
	const struct screen *screen = emulator_screen(session->emulator);
	_cleanup_(emulator_free_p) struct emulator *again = NULL;
	_cleanup_(buf_deinit) struct buf stream = BUF_NULL;

	if (!emulator_settled(session->emulator) || any_cramped(screen))
		return;
	require(emulator_snapshot(session->emulator, &stream) == 0);
	require(emulator_new(&again, screen->cols, screen->rows, 0) == 0);
	emulator_write(again, stream.data, stream.len);
	require(screen_equal(screen, emulator_screen(again)));
	require(!emulator_has_reply(again));
}

static void write_part(struct session *session, const uint8_t *data, size_t len)
{
	struct buf reply = BUF_NULL;

	for (size_t i = 0; i < len && session->emulator->work < WORK_CELLS_MAX; )
		i += parser_write(session->emulator, data + i, session->bytewise ? 1 : len - i, WORK_CELLS_MAX);
	require(emulator_take_reply(session->emulator, &reply) == 0);
	buf_deinit(&reply);
}

static void command(struct session *session, const uint8_t *argument)
{
	/* Small, so that edges are met often; the largest sizes are a unit test's, since they cost too much here. */
	unsigned int cols = argument[0] == 0xff ? 150 : argument[0] % 32;
	unsigned int rows = argument[1] % 16;

	session->bytewise = argument[1] & 1;
	require(emulator_resize(session->emulator, cols, rows) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct session session = { .sent = SCREEN_NULL, .shown = SCREEN_NULL };
	const uint8_t *end = data + len, *next;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	unsigned int steps = 0;

	require(emulator_new(&session.emulator, 20, 6, 20000) == 0);
	while (data < end && steps++ < STEPS_MAX) {
		next = memmem(data, (size_t)(end - data), "\xff\xff", 2);
		write_part(&session, data, (size_t)((next ? next : end) - data));
		send(&session);
		if (!next || end - next < 4)
			break;
		command(&session, next + 2);
		send(&session);
		data = next + 4;
	}
	check_snapshot(&session);
	require(emulator_text(session.emulator, &text) == 0);
	for (size_t i = 0; i < emulator_scrollback_count(session.emulator); i++)
		require(emulator_scrollback_text(session.emulator, emulator_scrollback_first(session.emulator) + i, &text) ==
			0);
	emulator_free(session.emulator);
	screen_deinit(&session.sent);
	screen_deinit(&session.shown);
	return 0;
}
