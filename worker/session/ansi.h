/* A screen as text with colours: SGR sequences and newlines (and marks, where asked), every row ended by a reset. */
#pragma once

#include "proto/base/buf.h"
#include "proto/wire/emulator.h"
#include "proto/wire/screen.h"

/* marks: with what the shell said of its lines (OSC 133, screen_mark_put). */
int ansi_screen(const struct screen *screen, bool marks, struct buf *out);
/* The newest lines above the screen, whole ones, with their marks, max_bytes at most. */
int ansi_scrollback(const struct emulator *emulator, size_t max_bytes, struct buf *out);
