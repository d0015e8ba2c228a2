/* The terminal of a session: bytes of a program in; cells, and bytes to answer it with, out.
 *
 * Pure: no descriptor, no clock, no environment, and no state outside the object. Whatever the bytes and however
 * they are cut, memory is bounded, and the picture is right again after the next full repaint. Behaviour is xterm's
 * ("XTerm Control Sequences", Dickey) where programs of today depend on it; the parser is Williams' state machine.
 *
 * Nothing in a reply is text that the session chose: no title, no echoed string; colours are answered as numbers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/error.h"
#include "proto/wire/screen.h"

struct buf;
struct emulator;

#define EMULATOR_WORK_CELLS_MAX (2U << 20)
#define EMULATOR_CLIPBOARD_BYTES_MAX (48U * 1024)
#define EMULATOR_REPLY_BYTES_MAX 65536U /* replies that nobody takes are dropped beyond it */

/* Sizes are clamped to 1..SCREEN_…_MAX. scrollback_limit_bytes 0: none kept. -ENOMEM. */
int emulator_new(struct emulator **ret_emulator, unsigned int cols, unsigned int rows, size_t scrollback_limit_bytes);
void emulator_free(struct emulator *emulator);
DEFINE_CLEANUP(struct emulator *, emulator_free)

/* Cannot fail: where memory is short the picture loses colours, clusters or scrollback, not its shape. */
void emulator_write(struct emulator *emulator, const void *data, size_t len);
/* The same for a caller that has more to do: takes at least one byte, and returns how many it took once the commands in
 * them went over EMULATOR_WORK_CELLS_MAX cells (a few milliseconds); the rest is to be written again. A command of four
 * bytes can move a million cells. */
size_t emulator_write_some(struct emulator *emulator, const void *data, size_t len);
/* Clamps as emulator_new. Lines of the primary screen flow to the new width, at a cost that the length of the scrollback
 * does not change. -ENOMEM: unchanged. */
int emulator_resize(struct emulator *emulator, unsigned int cols, unsigned int rows);
/* What a full reset (RIS) does. */
void emulator_reset(struct emulator *emulator);

/* The visible picture. Borrowed; changes with the next write. `frame` is 0: copy it and number the copy. */
const struct screen *emulator_screen(const struct emulator *emulator);
/* Changes whenever the picture may have changed (cells, cursor, modes, title). */
uint64_t emulator_generation(const struct emulator *emulator);
/* The visible screen as text: screen_text. */
int emulator_text(const struct emulator *emulator, struct buf *out);

/* Moves the pending bytes for the program's input to `out`. -ENOMEM, -EMSGSIZE: they stay. */
int emulator_take_reply(struct emulator *emulator, struct buf *out);
bool emulator_has_reply(const struct emulator *emulator);

/* Not inside a sequence or a character: a snapshot can be taken. */
bool emulator_settled(const struct emulator *emulator);
/* Appends a stream that brings any emulator of the same size to this picture and state: both screens, margins, modes,
 * pen, titles, colours, cursor. Not the scrollback, nor counts (bells, prompts). -ENOMEM, -EMSGSIZE (`out`'s limit):
 * nothing was appended. */
int emulator_snapshot(const struct emulator *emulator, struct buf *out);

/* What the program wants in the person's clipboard (OSC 52), decoded: the newest, until it is taken. Bytes of the
 * session's, EMULATOR_CLIPBOARD_BYTES_MAX at most: more, and what is no base64, is dropped. Questions are never answered. */
bool emulator_has_clipboard(const struct emulator *emulator);
/* Moves it to `out`, which is freed first. */
void emulator_take_clipboard(struct emulator *emulator, struct buf *out);

/* Inside synchronized output (mode 2026): hold the frame back. The caller bounds how long (150 ms), and may end it. */
bool emulator_synchronized(const struct emulator *emulator);
void emulator_end_synchronized(struct emulator *emulator);
/* How many bells rang, since the beginning. */
uint64_t emulator_bells(const struct emulator *emulator);
/* Increases with each change of the title (which is in the screen). */
uint64_t emulator_title_changes(const struct emulator *emulator);
/* Prompt marks (OSC 133): how many prompts began (A) and commands ended (D), and the last exit code, -1 if not said. */
struct emulator_prompts {
	uint64_t prompts, commands_started, commands_ended;
	int last_exit_code;
};
struct emulator_prompts emulator_prompts(const struct emulator *emulator);

/* Lines that left the primary screen at its top, oldest first. Line numbers count from the beginning:
 * first() to first() + count() - 1 are there. A resize flows the newest lines again, as many as the screen can show, and
 * so gives those new numbers; the others keep theirs and the width they had. */
uint64_t emulator_scrollback_first(const struct emulator *emulator);
size_t emulator_scrollback_count(const struct emulator *emulator);
size_t emulator_scrollback_bytes(const struct emulator *emulator);
/* Copies up to `size` cells of a line; returns how many the line has (0 if it is not there). The indices are the
 * visible screen's. ret_wrapped (may be NULL): it goes on in the next line. */
size_t emulator_scrollback_read(const struct emulator *emulator, uint64_t line, struct screen_cell *cells, size_t size,
	bool *ret_wrapped);
/* What the shell said of a line (OSC 133); nothing if it is not there. */
struct screen_mark emulator_scrollback_mark(const struct emulator *emulator, uint64_t line);
/* Appends a line's text, without the blanks at its end. */
int emulator_scrollback_text(const struct emulator *emulator, uint64_t line, struct buf *out);
