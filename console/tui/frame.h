/* What stands around every view: the top line, the tabs, a banner while the connection is lost, the keys at the bottom. */
#pragma once

#include "console/tui/ui.h"

/* Draws top line, tabs and banner; returns what is left for the view. */
struct area frame_draw(struct ui *ui);
/* Everything but the last line, for what covers the screen; with the banner while there is trouble. */
struct area frame_draw_plain(struct ui *ui);
void frame_draw_footer(struct ui *ui);
void frame_draw_too_small(struct ui *ui);
/* The tab at a place of the screen, -1: none. */
int frame_tab_at(struct ui *ui, int y, int x);
