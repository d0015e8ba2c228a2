/* What the files of the emulator share. The parser (parser.c) calls print_…, control_…, csi_…, osc_… and dcs_…;
 * they draw through edit.c, which alone keeps the promises of struct screen_row (used, whole pairs, generation). */
#pragma once

#include "proto/base/buf.h"
#include "worker/screen/emulator.h"
#include "worker/screen/scrollback.h"

#define PARAMS_MAX 32U
#define PARAM_VALUE_MAX 65535U
#define STRING_BYTES_MAX 2048U
#define TITLE_STACK_MAX 10U
#define KITTY_STACK_MAX 8U

enum emulator_mode {
	MODE_ORIGIN = 1 << 0,
	MODE_WRAP = 1 << 1,
	MODE_INSERT = 1 << 2,
	MODE_MARGINS = 1 << 3, /* DECLRMM: left and right margins may be set */
	MODE_SYNCHRONIZED = 1 << 4,
	MODE_REVERSE_WRAP = 1 << 5,
	MODE_COLUMNS_ALLOWED = 1 << 6,
	MODE_COLUMNS_132 = 1 << 7,
};

struct saved_cursor {
	unsigned int row, col;
	bool pending_wrap, origin, set;
	struct screen_style pen;
	uint8_t pen_flags;
	uint8_t charset[4], gl;
};

struct kitty_stack {
	uint32_t flags[KITTY_STACK_MAX];
	unsigned int count;
	uint32_t current;
};

#define SAVED_MODES_MAX 32U

struct saved_mode {
	uint16_t number;
	bool on;
};

struct title {
	uint16_t len;
	char text[SCREEN_TITLE_BYTES_MAX + 1];
};

struct parser {
	uint8_t state, final, prefix, intermediate; /* prefix: < = > ? or 0; intermediate 0xff: more than one */
	bool string_cut;
	unsigned int param_count;
	uint32_t param[PARAMS_MAX];
	uint32_t sub; /* bit i: param i follows a colon */
	bool params_full;
	size_t string_len;
	char string[STRING_BYTES_MAX + 1];
	struct buf rest; /* of a string that may be longer: the clipboard's */
	/* UTF-8 */
	uint32_t code;
	uint8_t need, low, high; /* continuation bytes still to come, and the range of the next */
};

struct emulator {
	struct screen screen;
	struct screen_row *hidden_row; /* the other one of primary and alternate screen; NULL: the alternate one, never shown */
	struct screen_cell *hidden_slab;
	struct scrollback scrollback;
	uint64_t writes, bells, title_changes;
	struct emulator_prompts prompts;
	struct parser parser;
	uint32_t modes;                         /* enum emulator_mode */
	unsigned int top, bottom, left, right;  /* margins, half open */
	bool pending_wrap;
	struct screen_style pen;
	uint16_t pen_style, erase_style; /* indices of the pen, and of its background alone */
	bool pen_stale;
	uint8_t pen_flags;
	uint8_t charset[4], gl, single_shift; /* '0': DEC graphics, 'A': UK, else ASCII; single_shift: 0, 2, 3 */
	struct saved_cursor saved[2];        /* of the primary and the alternate screen */
	struct kitty_stack kitty[2];
	uint8_t tabs[SCREEN_COLS_MAX];
	/* The cell that a combining mark would join. */
	bool last_valid;
	unsigned int last_row, last_col;
	uint32_t last_code;
	int32_t break_state;
	uint32_t repeat_code; /* for REP */
	uint32_t styles_limit, clusters_limit; /* collect when the tables have grown to this */
	uint32_t link_backoff;                 /* links to refuse before a full table is collected again */
	uint32_t full_backoff;                 /* styles to refuse before a full table is collected again */
	struct title titles[TITLE_STACK_MAX];
	unsigned int title_count;
	struct saved_mode saved_modes[SAVED_MODES_MAX];
	unsigned int saved_mode_count;
	uint64_t work; /* cells touched by commands, see emulator_write_some */
	bool guarded; /* SPA was used: what it guards, plain erasing leaves alone too */
	bool rectangles; /* DECSACE: attributes change in rectangles, not in streams */
	struct buf reply;
	struct buf clipboard; /* see emulator_take_clipboard */
};

/* Notes that a command went over this many cells: a few bytes can ask for all of a large screen. */
static inline void spend(struct emulator *emulator, size_t cells)
{
	emulator->work += cells;
}

static inline bool emulator_alternate(const struct emulator *emulator)
{
	return emulator->screen.modes & SCREEN_MODE_ALTERNATE;
}

static inline struct screen_row *cursor_row(struct emulator *emulator)
{
	return &emulator->screen.row[emulator->screen.cursor_row];
}

/* A count parameter: absent or 0 means 1. */
static inline unsigned int param_count(const struct emulator *emulator, unsigned int index)
{
	const struct parser *parser = &emulator->parser;

	return index < parser->param_count && parser->param[index] ? parser->param[index] : 1;
}

/* A plain parameter: absent means 0. */
static inline unsigned int param_value(const struct emulator *emulator, unsigned int index)
{
	return index < emulator->parser.param_count ? emulator->parser.param[index] : 0;
}

/* parser.c */
/* Returns how many bytes it took: at least one, all unless emulator->work reaches the limit. */
size_t parser_write(struct emulator *emulator, const uint8_t *data, size_t len, uint64_t work_limit);

/* print.c */
void print_ascii(struct emulator *emulator, const uint8_t *data, size_t len);
/* Codes of one column that join nothing: ASCII, U+FFFD. */
void print_codes(struct emulator *emulator, const uint16_t *codes, size_t len);
void print_code(struct emulator *emulator, uint32_t code);
void print_repeat(struct emulator *emulator, uint32_t code, unsigned int count);

/* control.c: C0 controls and ESC sequences */
void control_execute(struct emulator *emulator, uint8_t byte);
void control_escape(struct emulator *emulator);
void control_reset(struct emulator *emulator);
void control_soft_reset(struct emulator *emulator);
void control_save(struct emulator *emulator);
void control_restore(struct emulator *emulator);
void control_reset_tabs(struct emulator *emulator);

/* csi.c */
void csi_dispatch(struct emulator *emulator);

/* sgr.c */
void sgr_apply(struct emulator *emulator);
void sgr_report(const struct screen_style *pen, struct buf *out);

/* mode.c */
void mode_change(struct emulator *emulator, bool private_mode, bool on);
/* DECRPM: 0 unknown, 1 set, 2 reset, 3 always set. */
unsigned int mode_query(const struct emulator *emulator, bool private_mode, unsigned int number);
/* XTSAVE, XTRESTORE: private modes kept one deep, each on its own. */
void mode_save(struct emulator *emulator);
void mode_restore(struct emulator *emulator);
void mode_alternate(struct emulator *emulator, bool on, bool clear, bool cursor);
void mode_kitty_sync(struct emulator *emulator);

/* osc.c */
void osc_dispatch(struct emulator *emulator);
void osc_reset_palette(struct emulator *emulator);
void osc_push_title(struct emulator *emulator);
void osc_pop_title(struct emulator *emulator);

/* report.c */
void report_printf(struct emulator *emulator, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_attributes(struct emulator *emulator); /* DA1 to DA3 */
void report_status(struct emulator *emulator);     /* DSR, CPR */
void report_mode(struct emulator *emulator);       /* DECRQM */
void report_parameters(struct emulator *emulator);  /* DECREQTPARM */
void report_version(struct emulator *emulator);    /* XTVERSION */
void report_dcs(struct emulator *emulator);        /* DECRQSS, XTGETTCAP */

/* rect.c */
void rect_checksum(struct emulator *emulator); /* DECRQCRA */
void rect_erase(struct emulator *emulator);    /* DECERA, DECSERA */
void rect_fill(struct emulator *emulator);     /* DECFRA */
void rect_copy(struct emulator *emulator);     /* DECCRA */
void rect_extent(struct emulator *emulator);   /* DECSACE */
void rect_change(struct emulator *emulator);   /* DECCARA, DECRARA */

/* edit.c */
/* Finds the indices of the pen again after it changed. */
void edit_update_pen(struct emulator *emulator);
uint16_t edit_intern_style(struct emulator *emulator, const struct screen_style *style);
/* 0: an address that is not allowed, or no room. */
uint16_t edit_intern_link(struct emulator *emulator, const struct screen_address *address);
/* The glyph of a cluster, or 0. */
uint32_t edit_intern_cluster(struct emulator *emulator, const char *text, size_t len);
/* Blanks the other half of a pair that a change at `col` would cut. */
void edit_split_pair(struct screen_row *row, unsigned int col);
static inline void edit_split(struct emulator *emulator, struct screen_row *row, unsigned int col)
{
	if (col > 0 && col < emulator->screen.cols && row->cells[col].width == 0)
		edit_split_pair(row, col);
}
/* Columns from to to - 1, in the pen's background; selective leaves protected cells alone. */
void edit_erase(struct emulator *emulator, unsigned int row, unsigned int from, unsigned int to, bool selective);
void edit_erase_rows(struct emulator *emulator, unsigned int from, unsigned int to, bool selective);
/* Shift the rest of the row, up to the right margin. */
void edit_insert_cells(struct emulator *emulator, unsigned int row, unsigned int col, unsigned int count);
void edit_delete_cells(struct emulator *emulator, unsigned int row, unsigned int col, unsigned int count);
/* Within rows top to bottom - 1 and the left and right margins. keep: lines leaving at the top go to the scrollback. */
void edit_scroll_up(struct emulator *emulator, unsigned int top, unsigned int bottom, unsigned int count, bool keep);
void edit_scroll_down(struct emulator *emulator, unsigned int top, unsigned int bottom, unsigned int count);
void edit_move_to(struct emulator *emulator, unsigned int row, unsigned int col);
void edit_index(struct emulator *emulator);         /* down, scrolling at the bottom margin */
void edit_reverse_index(struct emulator *emulator); /* up, scrolling at the top margin */

/* reflow.c */
struct reflow_grid {
	struct screen_row *row;
	struct screen_cell *slab;
	unsigned int cursor_row, cursor_col; /* in: in the old grid; out: in the new one */
};
/* The lines of scrollback and primary screen in a new width: the scrollback is replaced, `grid` is filled, the old
 * rows stay as they are. -ENOMEM: nothing has changed. */
int reflow(struct emulator *emulator, const struct screen_row *old, unsigned int cols, unsigned int rows,
	struct reflow_grid *grid);

/* clipboard.c */
/* Whether this string may go on beyond STRING_BYTES_MAX. */
bool clipboard_begins(const struct parser *parser);
/* OSC 52: what stands behind the number in parser->string, and parser->rest. */
void clipboard_command(struct emulator *emulator, const char *text);
