/* One live session in the grid: its frame says who it is and how it stands, inside are the cells of its screen.
 *
 * A tile that is smaller than the session's screen shows the screen's last lines from the left, moved up where the
 * cursor would not be seen: that is where a program talks to its person. */
#pragma once

#include "console/tui/ui.h"

struct tile {
	struct ui *ui;
	uint64_t task;
	uint32_t attempt;
	struct stream *stream;
	struct area area;
	struct area inside;  /* of the frame */
	unsigned int top;    /* first row of the session's screen that is shown */
	unsigned int cols, rows; /* of the session's screen when it was drawn last */
	uint64_t *seen;      /* generations of the rows as drawn, inside.h of them */
	bool dirty;          /* something came since */
	int64_t ended_ms;    /* when the far side closed it, 0: it is open */
};

#define TILE_RATE_HZ 8u
#define TILE_COLS_MIN 38
#define TILE_ROWS_MIN 6

int tile_new(struct tile **ret_tile, struct ui *ui, const Maestro__Task *task);
/* It was closed, and yet its session lives: it came up only later, or its worker was away. Then a new one is wanted. */
bool tile_is_stale(const struct tile *tile, const Maestro__Task *task);
void tile_free(struct tile *tile);
DEFINE_CLEANUP(struct tile *, tile_free)
/* All of it at a place. -ENOMEM. */
int tile_draw(struct tile *tile, const Maestro__Task *task, struct area area, bool focus);
/* Only the rows that changed, if any. */
void tile_draw_live(struct tile *tile);
/* It was shown: the next frame may come. */
void tile_shown(struct tile *tile);

/* The first row to show of a screen in `height` rows. */
unsigned int tile_window(const struct screen *screen, int height);
