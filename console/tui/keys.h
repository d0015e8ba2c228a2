/* Keys are data: one table says which key asks for what in which context, and what it is called. It drives the
 * dispatch, the line at the bottom, and the help. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A key: a code point, or one of curses' codes with this bit. */
#define KEY_FUNCTION_BIT 0x01000000
#define KEY_CURSES(code) (KEY_FUNCTION_BIT | (code))
#define KEY_CTRL(letter) ((letter) & 0x1f)
#define KEY_ESCAPE 27

/* Codes of our own for curses' define_key; above all that terminfo gives. */
#define KEY_PASTE_BEGIN 0x1f01
#define KEY_PASTE_END 0x1f02

enum key_context {
	CONTEXT_GLOBAL,
	CONTEXT_LIST,     /* movement, in all that has lines */
	CONTEXT_SESSIONS,
	CONTEXT_TASKS,
	CONTEXT_REVIEW,
	CONTEXT_FLEET,
	CONTEXT_LOG,
	CONTEXT_SCREEN,   /* a session full size, read */
	CONTEXT_TYPING,   /* the same, keys go to it */
	CONTEXT_HELP,
	CONTEXT_CONFIRM,
	CONTEXT_FORM,
	CONTEXT_FILTER,
	CONTEXT_COUNT,
};

enum request {
	REQUEST_NONE,
	REQUEST_QUIT,
	REQUEST_BACK,
	REQUEST_HELP,
	REQUEST_REDRAW,
	REQUEST_SUSPEND,
	REQUEST_VIEW_SESSIONS,
	REQUEST_VIEW_TASKS,
	REQUEST_VIEW_REVIEW,
	REQUEST_VIEW_FLEET,
	REQUEST_VIEW_LOG,
	REQUEST_VIEW_NEXT,
	REQUEST_VIEW_PREVIOUS,
	REQUEST_PANE_NEXT,
	REQUEST_PANE_PREVIOUS,
	REQUEST_UP,
	REQUEST_DOWN,
	REQUEST_LEFT,
	REQUEST_RIGHT,
	REQUEST_PAGE_UP,
	REQUEST_PAGE_DOWN,
	REQUEST_FIRST,
	REQUEST_LAST,
	REQUEST_OPEN,
	REQUEST_TYPE,
	REQUEST_DETACH,
	REQUEST_NEW,
	REQUEST_STOP,
	REQUEST_RETRY,
	REQUEST_FILTER,
	REQUEST_WAITING,
	REQUEST_REVIEW_TASK,
	REQUEST_MERGE,
	REQUEST_REJECT,
	REQUEST_YES,
	REQUEST_NO,
	REQUEST_SUBMIT,
	REQUEST_FIELD_NEXT,
	REQUEST_FIELD_PREVIOUS,
	REQUEST_COUNT,
};

struct key_binding {
	enum key_context context;
	int key;
	enum request request;
	const char *brief; /* for the line at the bottom; NULL: not shown there */
	const char *help;  /* for the help; NULL: another key for the binding above it */
};

extern const struct key_binding key_bindings[];
extern const size_t key_binding_count;

/* What the key asks for in the first of these contexts that knows it. */
enum request key_find(const enum key_context *contexts, size_t count, int key);
const char *key_context_name(enum key_context context);
#define KEY_NAME_MAX 16
/* "Enter", "Ctrl-S", "F1", "g". Returns name. */
const char *key_label(int key, char name[KEY_NAME_MAX]);
