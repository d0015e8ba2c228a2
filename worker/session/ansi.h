/* A screen as text with colours: SGR sequences and newlines only, every row ended by a reset. */
#pragma once

#include "proto/base/buf.h"
#include "proto/wire/emulator.h"
#include "proto/wire/screen.h"

int ansi_screen(const struct screen *screen, struct buf *out);
/* The newest lines above the screen, whole ones, max_bytes at most. */
int ansi_scrollback(const struct emulator *emulator, size_t max_bytes, struct buf *out);
