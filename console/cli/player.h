/* A recording in memory and the screen at one moment of it. Knows no clock and no terminal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/buf.h"
#include "proto/wire/emulator.h"
#include "proto/wire/timeline.h"

#define PLAYER_KEY_BYTES (1024u * 1024) /* of output between two keyframes */
#define PLAYER_BYTES_MAX (256u * 1024 * 1024) /* of output; what comes after it is left out */

enum { PLAYER_E_FULL = 1 };

struct player {
	struct emulator *emulator;
	struct buf bytes, entries; /* struct player_entry */
	struct buf keys;           /* struct player_key, of what was shown already: ways back */
	uint64_t idle_limit_ms;    /* a longer time without output is cut to this; 0: no limit */
	uint64_t end_ms;           /* of the last entry, from the beginning */
	int64_t wall_ms;           /* of the entry added last */
	int64_t first_ms;          /* wall clock of the recording's beginning, if what is added begins later; else 0 */
	size_t next;               /* the first entry that the screen does not show */
};

int player_init(struct player *player, uint64_t idle_limit_ms);
void player_deinit(struct player *player);
/* PLAYER_E_FULL, -ENOMEM. */
int player_add(struct player *player, const struct timeline_item *item);
/* Shows the moment: everything up to it, and nothing after. */
void player_seek(struct player *player, uint64_t at_ms);
/* When the next entry is due; UINT64_MAX: it is over. */
uint64_t player_next_ms(const struct player *player);
/* The moment of the next (or, from behind, last) mark after (before) this; false: none. */
bool player_find_mark(const struct player *player, uint64_t from_ms, bool backwards, uint64_t *ret_ms);
/* Goes on to where the text appears that was not there before. false: it does not, and the screen is as it was at
 * `from_ms`. */
bool player_find_text(struct player *player, uint64_t from_ms, const char *text, uint64_t *ret_ms);
