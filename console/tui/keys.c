#include "console/tui/keys.h"
#include "proto/base/error.h"
#include "proto/base/str.h"

#include <curses.h>
#include <stdio.h>

#define F(code) KEY_CURSES(code)

const struct key_binding key_bindings[] = {
	{ CONTEXT_SESSIONS, '\r', REQUEST_OPEN, "open", "open the session full size" },
	{ CONTEXT_SESSIONS, 'i', REQUEST_TYPE, "type", "type into the session" },
	{ CONTEXT_SESSIONS, 'n', REQUEST_NEW, "new task", "a new task" },
	{ CONTEXT_SESSIONS, 's', REQUEST_STOP, "stop", "stop the task" },
	{ CONTEXT_SESSIONS, 'w', REQUEST_WAITING, "next waiting", "go to the next session that waits for you" },
	{ CONTEXT_SESSIONS, '/', REQUEST_FILTER, "filter", "show only what holds these words" },

	{ CONTEXT_TASKS, '\r', REQUEST_OPEN, "open", "open its session; a task in review: its diff" },
	{ CONTEXT_TASKS, 'n', REQUEST_NEW, "new task", "a new task" },
	{ CONTEXT_TASKS, 's', REQUEST_STOP, "stop", "stop the task" },
	{ CONTEXT_TASKS, 'R', REQUEST_RETRY, "retry", "try it again (failed, lost, cancelled, rejected)" },
	{ CONTEXT_TASKS, 'v', REQUEST_REVIEW_TASK, "review", "look at what it pushed" },
	{ CONTEXT_TASKS, '/', REQUEST_FILTER, "filter", "show only what holds these words" },
	{ CONTEXT_TASKS, 'w', REQUEST_WAITING, NULL, "go to the next task that waits for you" },

	{ CONTEXT_REVIEW, 'm', REQUEST_MERGE, "merge", "merge the branch into its base (fast-forward only)" },
	{ CONTEXT_REVIEW, 'r', REQUEST_REJECT, "reject", "reject it: the branch stays, nothing is merged" },
	{ CONTEXT_REVIEW, '\r', REQUEST_OPEN, "go in", "from the task to its files to the diff" },
	{ CONTEXT_REVIEW, '\t', REQUEST_PANE_NEXT, "next pane", "next pane: tasks, files, diff" },
	{ CONTEXT_REVIEW, F(KEY_BTAB), REQUEST_PANE_PREVIOUS, NULL, "pane before" },
	{ CONTEXT_REVIEW, 'o', REQUEST_TYPE, "session", "open its session full size" },
	{ CONTEXT_REVIEW, '/', REQUEST_FILTER, NULL, "show only what holds these words" },

	{ CONTEXT_FLEET, 'n', REQUEST_NEW, "new task", "a new task" },
	{ CONTEXT_FLEET, '/', REQUEST_FILTER, "filter", "show only what holds these words" },

	{ CONTEXT_LOG, '\r', REQUEST_OPEN, "go to task", "go to the task of this line" },
	{ CONTEXT_LOG, 'G', REQUEST_LAST, "newest", "go to the newest line and follow" },
	{ CONTEXT_LOG, '/', REQUEST_FILTER, "filter", "show only what holds these words" },

	{ CONTEXT_SCREEN, 'i', REQUEST_TYPE, "type into it", "type into the session" },
	{ CONTEXT_SCREEN, '\r', REQUEST_TYPE, NULL, NULL },
	{ CONTEXT_SCREEN, KEY_ESCAPE, REQUEST_BACK, "back", "back to where you came from" },
	{ CONTEXT_SCREEN, 's', REQUEST_STOP, "stop", "stop the task" },
	{ CONTEXT_SCREEN, KEY_CTRL('\\'), REQUEST_BACK, NULL, NULL },

	{ CONTEXT_TYPING, KEY_CTRL('\\'), REQUEST_DETACH, "stop typing", "stop typing; every other key goes to the session" },

	{ CONTEXT_HELP, KEY_ESCAPE, REQUEST_BACK, "close", "close the help" },
	{ CONTEXT_HELP, '?', REQUEST_BACK, NULL, NULL },
	{ CONTEXT_HELP, 'q', REQUEST_BACK, NULL, NULL },
	{ CONTEXT_HELP, '\r', REQUEST_BACK, NULL, NULL },

	{ CONTEXT_CONFIRM, 'y', REQUEST_YES, "yes", "yes" },
	{ CONTEXT_CONFIRM, '\r', REQUEST_YES, NULL, NULL },
	{ CONTEXT_CONFIRM, 'n', REQUEST_NO, "no", "no" },
	{ CONTEXT_CONFIRM, KEY_ESCAPE, REQUEST_NO, NULL, NULL },
	{ CONTEXT_CONFIRM, 'q', REQUEST_NO, NULL, NULL },

	{ CONTEXT_FORM, KEY_CTRL('S'), REQUEST_SUBMIT, "submit", "submit the task" },
	{ CONTEXT_FORM, '\t', REQUEST_FIELD_NEXT, "next field", "next field" },
	{ CONTEXT_FORM, F(KEY_BTAB), REQUEST_FIELD_PREVIOUS, NULL, "field before" },
	{ CONTEXT_FORM, KEY_ESCAPE, REQUEST_BACK, "cancel", "close without submitting; what was written is kept" },

	{ CONTEXT_FILTER, '\r', REQUEST_YES, "keep", "keep the filter" },
	{ CONTEXT_FILTER, KEY_ESCAPE, REQUEST_BACK, "clear", "show everything again" },

	{ CONTEXT_LIST, F(KEY_UP), REQUEST_UP, NULL, "up" },
	{ CONTEXT_LIST, 'k', REQUEST_UP, NULL, NULL },
	{ CONTEXT_LIST, F(KEY_DOWN), REQUEST_DOWN, NULL, "down" },
	{ CONTEXT_LIST, 'j', REQUEST_DOWN, NULL, NULL },
	{ CONTEXT_LIST, F(KEY_LEFT), REQUEST_LEFT, NULL, "left" },
	{ CONTEXT_LIST, 'h', REQUEST_LEFT, NULL, NULL },
	{ CONTEXT_LIST, F(KEY_RIGHT), REQUEST_RIGHT, NULL, "right" },
	{ CONTEXT_LIST, 'l', REQUEST_RIGHT, NULL, NULL },
	{ CONTEXT_LIST, F(KEY_PPAGE), REQUEST_PAGE_UP, NULL, "page up" },
	{ CONTEXT_LIST, KEY_CTRL('B'), REQUEST_PAGE_UP, NULL, NULL },
	{ CONTEXT_LIST, F(KEY_NPAGE), REQUEST_PAGE_DOWN, NULL, "page down" },
	{ CONTEXT_LIST, KEY_CTRL('F'), REQUEST_PAGE_DOWN, NULL, NULL },
	{ CONTEXT_LIST, ' ', REQUEST_PAGE_DOWN, NULL, NULL },
	{ CONTEXT_LIST, 'g', REQUEST_FIRST, NULL, "first" },
	{ CONTEXT_LIST, F(KEY_HOME), REQUEST_FIRST, NULL, NULL },
	{ CONTEXT_LIST, 'G', REQUEST_LAST, NULL, "last" },
	{ CONTEXT_LIST, F(KEY_END), REQUEST_LAST, NULL, NULL },

	{ CONTEXT_GLOBAL, '1', REQUEST_VIEW_SESSIONS, NULL, "Sessions: what runs, live" },
	{ CONTEXT_GLOBAL, '2', REQUEST_VIEW_TASKS, NULL, "Tasks: everything that was asked for" },
	{ CONTEXT_GLOBAL, '3', REQUEST_VIEW_REVIEW, NULL, "Review: what was pushed and waits for you" },
	{ CONTEXT_GLOBAL, '4', REQUEST_VIEW_FLEET, NULL, "Fleet: the workers" },
	{ CONTEXT_GLOBAL, '5', REQUEST_VIEW_LOG, NULL, "Log: what happened" },
	{ CONTEXT_GLOBAL, '\t', REQUEST_VIEW_NEXT, NULL, "next view" },
	{ CONTEXT_GLOBAL, F(KEY_BTAB), REQUEST_VIEW_PREVIOUS, NULL, "view before" },
	{ CONTEXT_GLOBAL, KEY_ESCAPE, REQUEST_BACK, NULL, "back; clears a filter" },
	{ CONTEXT_GLOBAL, KEY_CTRL('L'), REQUEST_REDRAW, NULL, "draw everything again" },
	{ CONTEXT_GLOBAL, KEY_CTRL('Z'), REQUEST_SUSPEND, NULL, "suspend; fg comes back" },
	{ CONTEXT_GLOBAL, '?', REQUEST_HELP, "help", "this help" },
	{ CONTEXT_GLOBAL, F(KEY_F(1)), REQUEST_HELP, NULL, NULL },
	{ CONTEXT_GLOBAL, 'q', REQUEST_QUIT, "quit", "quit; sessions run on" },
	{ CONTEXT_GLOBAL, KEY_CTRL('C'), REQUEST_QUIT, NULL, NULL },
};

const size_t key_binding_count = ARRAY_SIZE(key_bindings);

static const char *const context_names[CONTEXT_COUNT] = {
	[CONTEXT_GLOBAL] = "Everywhere",
	[CONTEXT_LIST] = "Moving",
	[CONTEXT_SESSIONS] = "Sessions",
	[CONTEXT_TASKS] = "Tasks",
	[CONTEXT_REVIEW] = "Review",
	[CONTEXT_FLEET] = "Fleet",
	[CONTEXT_LOG] = "Log",
	[CONTEXT_SCREEN] = "A session, full size",
	[CONTEXT_TYPING] = "Typing into a session",
	[CONTEXT_HELP] = "Help",
	[CONTEXT_CONFIRM] = "Question",
	[CONTEXT_FORM] = "New task",
	[CONTEXT_FILTER] = "Filter",
};

const char *key_context_name(enum key_context context)
{
	return context_names[context];
}

/* Terminals differ in what Enter and Backspace send. */
static int fold(int key)
{
	if (key == '\n' || key == KEY_CURSES(KEY_ENTER))
		return '\r';
	return key;
}

enum request key_find(const enum key_context *contexts, size_t count, int key)
{
	key = fold(key);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < key_binding_count; k++)
			if (key_bindings[k].context == contexts[i] && key_bindings[k].key == key)
				return key_bindings[k].request;
	return REQUEST_NONE;
}

static const struct {
	int key;
	const char *name;
} names[] = {
	{ '\r', "Enter" }, { '\t', "Tab" }, { ' ', "Space" }, { KEY_ESCAPE, "Esc" },
	{ F(KEY_BTAB), "Shift-Tab" }, { F(KEY_UP), "Up" }, { F(KEY_DOWN), "Down" }, { F(KEY_LEFT), "Left" },
	{ F(KEY_RIGHT), "Right" }, { F(KEY_PPAGE), "PgUp" }, { F(KEY_NPAGE), "PgDn" }, { F(KEY_HOME), "Home" },
	{ F(KEY_END), "End" }, { F(KEY_F(1)), "F1" },
};

const char *key_label(int key, char name[KEY_NAME_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].key == key) {
			snprintf(name, KEY_NAME_MAX, "%s", names[i].name);
			return name;
		}
	}
	if (key > 0 && key < 32)
		snprintf(name, KEY_NAME_MAX, "Ctrl-%c", key + 64);
	else if (key < 128)
		snprintf(name, KEY_NAME_MAX, "%c", key);
	else
		snprintf(name, KEY_NAME_MAX, "?");
	return name;
}
