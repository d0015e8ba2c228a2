/* A screen as text with colours: SGR sequences and newlines only, every row ended by a reset. */
#pragma once

#include "proto/base/buf.h"
#include "proto/wire/screen.h"

int ansi_screen(const struct screen *screen, struct buf *out);
