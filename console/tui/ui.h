/* What is on the screen: the tabs, the overlays above them, the lines around, and what the person picked.
 *
 * It neither reads the terminal nor waits: app.c does, and tests can. All is drawn from the model; foreign text is
 * cleaned where it is drawn. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "console/client/client.h"
#include "console/client/model.h"
#include "console/client/stream.h"
#include "console/tui/edit.h"
#include "console/tui/view.h"

#define UI_TABS 5
#define UI_OVERLAYS_MAX 6
#define UI_COLS_MIN 60
#define UI_ROWS_MIN 16

enum ui_tab {
	UI_SESSIONS,
	UI_TASKS,
	UI_REVIEW,
	UI_FLEET,
	UI_LOG,
};

struct ui_clock {
	uint64_t (*now_ms)(void);
	int64_t (*wall_ms)(void);
};

struct ui_config {
	struct client *client;
	struct model *model;
	const char *where;           /* the coordinator, for the top line; borrowed */
	const Maestro__GitAuthor *author; /* whose commits these are; NULL: not known; borrowed */
	const struct ui_clock *clock;
	bool colour;
	/* Something has to be drawn: all, or only what streams changed. Called from anywhere. */
	void (*redraw)(bool all, void *userdata);
	void *userdata;
};

struct ui {
	struct ui_config config;
	struct client *client;
	struct model *model;
	struct theme theme;
	struct view *tabs[UI_TABS];
	enum ui_tab tab;
	struct view *overlays[UI_OVERLAYS_MAX];
	size_t overlay_count;
	struct list actions;         /* requests under way, actions.c */
	struct view *live;        /* the view that fills the screen, and so may hold streams */
	char message[512];
	enum theme_role message_role;
	uint64_t message_until_ms;   /* 0: until the next key */
	int cursor_y, cursor_x;      /* -1: not shown */
	struct edit form_fields[2];  /* title and prompt of a task that was begun */
	char form_project[72], form_agent[72];
	bool quit, suspend;
	bool pasting;
	struct buf paste;
};

int ui_init(struct ui *ui, const struct ui_config *config);
void ui_deinit(struct ui *ui);

/* Draws everything, or only what streams changed, and puts it on the terminal. */
void ui_draw(struct ui *ui, bool all);
/* A key as keys.h says. */
void ui_key(struct ui *ui, int key);
void ui_mouse(struct ui *ui, int y, int x, bool twice);
/* Bytes of the keyboard, while ui_wants_raw. Returns how many were taken. */
bool ui_wants_raw(struct ui *ui);
size_t ui_raw(struct ui *ui, const char *data, size_t len);
void ui_changed(struct ui *ui, unsigned int parts, uint64_t task);
/* Milliseconds until the picture is different by itself (ages, a message that goes), 0: never. */
uint64_t ui_next_tick_ms(struct ui *ui);

/* --- for views ----------------------------------------------------------------------------------------------- */

struct view *ui_top(struct ui *ui);
void ui_push(struct ui *ui, struct view *view);
/* Takes the top overlay away and frees it. */
void ui_pop(struct ui *ui);
void ui_show_tab(struct ui *ui, enum ui_tab tab);
void ui_redraw(struct ui *ui);
void ui_redraw_live(struct ui *ui);
void ui_set_cursor(struct ui *ui, int y, int x);
void ui_message(struct ui *ui, enum theme_role role, const char *format, ...) __attribute__((format(printf, 3, 4)));
uint64_t ui_now_ms(const struct ui *ui);
/* False, and a message, if this person may only watch. */
bool ui_may_act(struct ui *ui);
void ui_open_screen(struct ui *ui, uint64_t task, bool typing);
void ui_open_review(struct ui *ui, uint64_t task);
void ui_open_task(struct ui *ui, uint64_t task);
void ui_new_task(struct ui *ui);
void ui_filter(struct ui *ui, struct filter *filter);
/* "Stop task 12?" and so on; what is not possible in the task's state is said instead. */
void ui_ask_stop(struct ui *ui, uint64_t task);
void ui_ask_retry(struct ui *ui, uint64_t task);
void ui_ask_reject(struct ui *ui, uint64_t task);
void ui_ask_merge(struct ui *ui, uint64_t task, const char *commit);
