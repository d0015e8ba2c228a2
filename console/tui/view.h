/* A view: one file each, reached by its table of operations. It draws from the model and its own small state. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "console/tui/draw.h"
#include "console/tui/keys.h"

struct ui;
struct view;

#define VIEW_CONTEXTS_MAX 3

struct view_ops {
	const char *name;
	enum key_context contexts[VIEW_CONTEXTS_MAX]; /* asked in this order */
	size_t context_count;
	bool covers; /* an overlay that hides what is below: that loses the screen */
	void (*free)(struct view *view);
	/* The area is blank. */
	void (*draw)(struct view *view, struct area area);
	/* Only what streams changed since the last draw. NULL: there is none. */
	void (*draw_live)(struct view *view);
	/* Something was shown; streams may send the next frame. May be NULL. */
	void (*shown)(struct view *view);
	/* Whether it did something with it. */
	bool (*request)(struct view *view, enum request request);
	/* Keys before they are looked up, for text; whether it took it. May be NULL. */
	bool (*key)(struct view *view, int key);
	/* Pasted text. May be NULL. */
	void (*paste)(struct view *view, const char *text, size_t len);
	/* Whether bytes of the keyboard go to `raw` undecoded now. Both may be NULL. */
	bool (*wants_raw)(struct view *view);
	/* Returns how many of them it took; the others are keys again. */
	size_t (*raw)(struct view *view, const char *data, size_t len);
	/* A button, at a place of the screen. May be NULL. */
	void (*click)(struct view *view, int y, int x, bool twice);
	/* The model is different (enum model_part). May be NULL. */
	void (*changed)(struct view *view, unsigned int parts, uint64_t task);
	/* It comes to the screen, or leaves it: live streams are held only while it is there. May be NULL. */
	void (*expose)(struct view *view, bool visible);
};

struct view {
	const struct view_ops *ops;
	struct ui *ui;
};

/* Each makes a view, or -ENOMEM. */
int view_sessions_new(struct view **ret_view, struct ui *ui);
int view_tasks_new(struct view **ret_view, struct ui *ui);
int view_review_new(struct view **ret_view, struct ui *ui);
int view_fleet_new(struct view **ret_view, struct ui *ui);
int view_log_new(struct view **ret_view, struct ui *ui);
/* Overlays. */
int view_screen_new(struct view **ret_view, struct ui *ui, uint64_t task, bool typing);
int view_help_new(struct view **ret_view, struct ui *ui);
int view_form_new(struct view **ret_view, struct ui *ui);
struct filter;
int view_filter_new(struct view **ret_view, struct ui *ui, struct filter *filter);
/* `yes` is called when the person says so. `question` is copied, `commit` too (may be NULL). */
typedef void (*confirm_yes)(struct ui *ui, uint64_t task, const char *commit);
int view_confirm_new(struct view **ret_view, struct ui *ui, const char *question, confirm_yes yes, uint64_t task,
	const char *commit);

/* What other views ask of these. */
void view_tasks_select(struct view *view, uint64_t task);
void view_review_select(struct view *view, uint64_t task);

/* --- lists that scroll --------------------------------------------------------------------------------------- */

struct scroll {
	size_t selected, top, count, page;
};
/* Moves the selection by a request of CONTEXT_LIST; false if it is none. */
bool scroll_request(struct scroll *scroll, enum request request);
/* Keeps selection and window inside `count` lines of which `page` are seen. */
void scroll_fit(struct scroll *scroll, size_t count, size_t page);
