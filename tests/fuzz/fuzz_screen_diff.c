/* The decoder of differences: an input is a series of updates, each after two bytes of length, applied to one screen.
 * Whatever comes, a refused update changes nothing, and an accepted one leaves a whole grid of harmless characters that
 * can be copied, sized and encoded again. */
#include <string.h>
#include "proto/base/buf.h"
#include "proto/base/str.h"
#include "proto/schema/screen.pb-c.h"
#include "proto/wire/screen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const struct screen *screen, const struct screen_cell *cell)
{
	char buffer[SCREEN_CLUSTER_BYTES_MAX];
	const char *text;
	size_t len = screen_cell_text(screen, cell, buffer, &text);
	uint32_t code;
	int step;

	require(len > 0 || cell->width == 0);
	for (size_t i = 0; i < len; i += (size_t)step) {
		step = str_utf8_next(text + i, len - i, &code);
		require(step > 0 && (screen_code_allowed(code) || (i && screen_code_joins(code))));
	}
}

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
		else
			check_text(screen, cell);
	}
}

static void check(const struct screen *screen)
{
	struct screen copy = SCREEN_NULL;

	require(screen->cursor_row < screen->rows && screen->cursor_col < screen->cols);
	for (unsigned int i = 0; i < screen->rows; i++)
		check_row(screen, &screen->row[i]);
	require(screen_copy(&copy, screen) == 0);
	require(screen_equal(&copy, screen));
	screen_deinit(&copy);
}

static void check_round_trip(const struct screen *from, const struct screen *to)
{
	struct screen target = SCREEN_NULL, shown = SCREEN_NULL;
	struct buf update = BUF_NULL;

	require(screen_copy(&target, to) == 0 && screen_copy(&shown, from) == 0);
	target.frame = from->frame + 1 ? from->frame + 1 : 1;
	if (screen_encode(from, &target, &update, NULL) == 0) {
		require(screen_apply(&shown, update.data, update.len) == 0);
		require(screen_equal(&shown, &target));
	}
	buf_deinit(&update);
	screen_deinit(&target);
	screen_deinit(&shown);
}

/* A few bytes can ask for a million cells, to be copied, compared and sent again: larger screens are a unit test's. Sizes
 * that are not allowed are tried. */
static bool too_dear(const uint8_t *data, size_t len)
{
	Maestro__ScreenUpdate *update = maestro__screen_update__unpack(NULL, len, data);
	bool dear = false;

	if (update)
		dear = update->cols <= SCREEN_COLS_MAX && update->rows <= SCREEN_ROWS_MAX && update->cols * update->rows > 2000;
	maestro__screen_update__free_unpacked(update, NULL);
	return dear;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct screen shown = SCREEN_NULL, before = SCREEN_NULL;
	size_t part;
	int r;

	while (len > 2) {
		part = (size_t)data[0] | (size_t)data[1] << 8;
		data += 2;
		len -= 2;
		if (part > len)
			part = len;
		if (too_dear(data, part))
			break;
		require(screen_copy(&before, &shown) == 0);
		r = screen_apply(&shown, data, part);
		require(r >= 0);
		if (r > 0)
			require(shown.frame == before.frame && screen_equal(&shown, &before));
		if (r == 0) {
			check(&shown);
			check_round_trip(&before, &shown);
		}
		data += part;
		len -= part;
	}
	screen_deinit(&shown);
	screen_deinit(&before);
	return 0;
}
