/* The picture of a terminal: cells, styles, clusters, and the difference between two pictures.
 *
 * The emulator draws into a struct screen, a holder keeps copies of it and sends differences, a console applies them.
 * A cell is 8 bytes: what it shows (a code point, or an index into the table of clusters), a style index, a width.
 * The tables belong to the screen. Indices are stable between two differences but are reused when no cell shows them
 * any more, so they mean nothing outside their screen.
 *
 * Rows are pointers: a scroll moves pointers, not cells. Each change of a row gives it a generation that no row of
 * any screen in the process had before; a copy takes it along. Equal generations therefore mean equal rows, which
 * makes copying and comparing cheap.
 *
 * Packed form (protobuf message ScreenUpdate), all numbers LEB128 varints:
 *   styles: { index, attributes, underline, foreground, background, underline colour }...
 *   style_links: { index of a style, index of a link }..., both defined in this update; without one a style has none
 *   links:  { index, bytes, address }...
 *   link_ids: { index, bytes, id }..., of links defined in this update
 *   prompts: { rows skipped since the last one, kinds, exit code }..., of rows whose mark is another after the scroll
 *   palette: { index, colour }..., colour 0: the terminal's own again
 *   cells:  { rows skipped since the last one, bytes of runs * 2 + wrapped, runs }...
 *   run:    { columns skipped since the last run, style, count * 4 + kind, text }
 *     kind 0: `count` code points in UTF-8, one column each
 *     kind 1: one code point, shown in `count` columns
 *     kind 2: `count` code points, two columns each
 *     kind 3: `count` times { bytes * 2 + (two columns), UTF-8 of a cluster }
 * A style must be defined in the update, or be one that the base frame's cells use.
 *
 * Conditions: SCREEN_E_INVALID, SCREEN_E_BASE. Errors: -ENOMEM, -EMSGSIZE (the output buffer's limit). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "proto/base/error.h"

struct buf;

enum {
	SCREEN_E_INVALID = 1, /* the update is malformed; the screen is as it was */
	SCREEN_E_BASE,        /* it changes another frame than this screen shows: ask for a keyframe; unchanged */
};

#define SCREEN_COLS_MAX 1000U
#define SCREEN_ROWS_MAX 1000U
#define SCREEN_STYLES_MAX 65535U        /* indices 0 (the default style) to 65534 */
#define SCREEN_CLUSTERS_MAX 65535U
#define SCREEN_CLUSTER_BYTES_MAX 64U    /* UTF-8 of one cell; longer clusters are cut between code points */
#define SCREEN_TITLE_BYTES_MAX 255U
#define SCREEN_LINKS_MAX 255U           /* indices 1 to 255 */
#define SCREEN_LINK_BYTES_MAX 1000U     /* longer addresses are dropped */
#define SCREEN_LINK_ID_BYTES_MAX 64U    /* a link with a longer id is one without */
#define SCREEN_MODIFY_OTHER_KEYS_MAX 2U
#define SCREEN_UPDATE_BYTES_MAX (1U << 20) /* longer updates are refused; see screen_encode for what a sender does */

/* Colours: 0 is the default, then a palette index, or 24 bits. */
#define SCREEN_COLOUR_DEFAULT 0U
#define SCREEN_COLOUR_PALETTE(index) (0x01000000U | (uint8_t)(index))
#define SCREEN_COLOUR_RGB(rgb) (0x02000000U | ((rgb) & 0xffffffU))
#define SCREEN_COLOUR_KIND(colour) ((colour) >> 24) /* 0 default, 1 palette, 2 rgb */

enum screen_attribute {
	SCREEN_BOLD = 1 << 0,
	SCREEN_FAINT = 1 << 1,
	SCREEN_ITALIC = 1 << 2,
	SCREEN_BLINK = 1 << 3,
	SCREEN_REVERSE = 1 << 4,
	SCREEN_CONCEAL = 1 << 5,
	SCREEN_STRIKE = 1 << 6,
	SCREEN_OVERLINE = 1 << 7,
	SCREEN_ATTRIBUTES_ALL = 0xff,
};

enum screen_underline {
	SCREEN_UNDERLINE_NONE,
	SCREEN_UNDERLINE_SINGLE,
	SCREEN_UNDERLINE_DOUBLE,
	SCREEN_UNDERLINE_CURLY,
	SCREEN_UNDERLINE_DOTTED,
	SCREEN_UNDERLINE_DASHED,
	SCREEN_UNDERLINE_COUNT,
};

struct screen_style {
	uint32_t foreground, background, underline_colour; /* SCREEN_COLOUR_… */
	uint8_t attributes;                                /* enum screen_attribute */
	uint8_t underline;                                 /* enum screen_underline */
	uint16_t link;                                     /* where it leads (OSC 8), see screen_link_text; 0: nowhere */
};

/* `glyph` is a code point, or with this bit set an index into the table of clusters. A blank is a space. */
#define SCREEN_GLYPH_CLUSTER 0x80000000U

enum screen_cell_flag {
	SCREEN_CELL_PROTECTED = 1 << 0, /* selective erase leaves it alone; known to the emulator only */
};

struct screen_cell {
	uint32_t glyph;
	uint16_t style;
	uint8_t width; /* 1, 2, or 0: the right half of the cell before it (then glyph is 0) */
	uint8_t flags; /* enum screen_cell_flag */
};

#define SCREEN_CELL_BLANK ((struct screen_cell){ .glyph = ' ', .width = 1 })

/* What a shell says of its lines (OSC 133): that they begin in this row. */
enum screen_mark_kind {
	SCREEN_MARK_PROMPT = 1 << 0, /* A */
	SCREEN_MARK_INPUT = 1 << 1,  /* B: what is typed behind the prompt */
	SCREEN_MARK_OUTPUT = 1 << 2, /* C: what the command prints */
	SCREEN_MARK_END = 1 << 3,    /* D: the command has ended */
	SCREEN_MARK_EXIT = 1 << 4,   /* and said how */
	SCREEN_MARKS_ALL = 0x1f,
};

struct screen_mark {
	uint8_t kinds; /* enum screen_mark_kind */
	uint8_t exit_code; /* 0 without SCREEN_MARK_EXIT */
};

struct screen_row {
	struct screen_cell *cells; /* cols of them */
	uint64_t generation;
	uint16_t used; /* from here on there are only default blanks */
	bool wrapped;  /* the line goes on in the next row */
	struct screen_mark mark;
};

enum screen_cursor_shape {
	SCREEN_CURSOR_DEFAULT,
	SCREEN_CURSOR_BLOCK_BLINK, /* the values of DECSCUSR */
	SCREEN_CURSOR_BLOCK,
	SCREEN_CURSOR_UNDERLINE_BLINK,
	SCREEN_CURSOR_UNDERLINE,
	SCREEN_CURSOR_BAR_BLINK,
	SCREEN_CURSOR_BAR,
	SCREEN_CURSOR_SHAPE_COUNT,
};

/* What a console must know to send keys, pastes and mouse events as the program asked. */
enum screen_mode {
	SCREEN_MODE_ALTERNATE = 1 << 0,        /* shows the alternate screen */
	SCREEN_MODE_APP_CURSOR = 1 << 1,       /* DECCKM */
	SCREEN_MODE_APP_KEYPAD = 1 << 2,       /* DECNKM */
	SCREEN_MODE_BRACKETED_PASTE = 1 << 3,  /* 2004 */
	SCREEN_MODE_FOCUS = 1 << 4,            /* 1004 */
	SCREEN_MODE_REVERSE_VIDEO = 1 << 5,    /* DECSCNM */
	SCREEN_MODE_ALTERNATE_SCROLL = 1 << 6, /* 1007: wheel sends arrows in the alternate screen */
	SCREEN_MODE_NEWLINE = 1 << 7,          /* LNM: Enter sends CR LF */
	SCREEN_MODES_ALL = 0xff,
};

enum screen_mouse_mode {
	SCREEN_MOUSE_NONE,
	SCREEN_MOUSE_X10,    /* 9 */
	SCREEN_MOUSE_BUTTON, /* 1000 */
	SCREEN_MOUSE_DRAG,   /* 1002 */
	SCREEN_MOUSE_MOTION, /* 1003 */
	SCREEN_MOUSE_MODE_COUNT,
};

enum screen_mouse_encoding {
	SCREEN_MOUSE_ENCODING_X10,
	SCREEN_MOUSE_ENCODING_UTF8,  /* 1005 */
	SCREEN_MOUSE_ENCODING_SGR,   /* 1006 */
	SCREEN_MOUSE_ENCODING_URXVT, /* 1015 */
	SCREEN_MOUSE_ENCODING_COUNT,
};

#define SCREEN_KITTY_FLAGS_ALL 0x1fU

/* Colours that a program may set for itself (OSC 4, 10, 11, 12): 256 of the palette, then the three that have names. */
enum screen_palette {
	SCREEN_PALETTE_FOREGROUND = 256,
	SCREEN_PALETTE_BACKGROUND,
	SCREEN_PALETTE_CURSOR,
	SCREEN_PALETTE_COUNT,
};

/* Styles by index, found again by content. Private but for screen_style(). */
struct screen_styles {
	struct screen_style *items;
	uint8_t *known;   /* a byte each: 0 free */
	uint32_t count;   /* indices below are in use or free for reuse */
	uint32_t size;    /* allocated */
	uint32_t live;    /* in use */
	uint32_t next;    /* where the search for a free one starts */
	uint16_t *hash;   /* open addressing, index + 1; NULL until something is looked up */
	uint32_t hash_size;
};

struct screen_cluster {
	uint32_t refs;
	uint32_t hash;
	uint8_t len;
	char text[]; /* UTF-8, not NUL-terminated */
};

struct screen_clusters {
	struct screen_cluster **items; /* NULL: free; shared between copies, counted */
	uint32_t count, size, live, next;
	uint16_t *hash; /* as above */
	uint32_t hash_size;
};

/* Pieces of the same address and id (OSC 8 ; id=…) are one link, without an id those of the same address. */
struct screen_address {
	const char *text, *id; /* not NUL-terminated */
	size_t len, id_len;
};

struct screen_link {
	uint32_t refs;
	uint16_t len;
	uint8_t id_len;
	char text[]; /* an address that screen_link_allowed takes, then its id; not NUL-terminated */
};

struct screen_links {
	struct screen_link **items; /* SCREEN_LINKS_MAX + 1 of them, or NULL; NULL inside: free; shared, counted */
};

#define SCREEN_GENERATION_MASK ((1ULL << 40) - 1)

struct screen {
	uint64_t frame;   /* number of this picture on the wire; whoever sends it sets it. 0: shows nothing yet */
	uint64_t generation; /* the last one given; the upper bits are the screen's own */
	unsigned int cols, rows; /* 0 x 0 before the first keyframe, else 1 to SCREEN_…_MAX */
	struct screen_row *row;  /* rows of them, top first */
	struct screen_cell *slab; /* the memory behind them */
	struct screen_styles styles;
	struct screen_clusters clusters;
	struct screen_links links;
	uint32_t palette[SCREEN_PALETTE_COUNT]; /* SCREEN_COLOUR_RGB of those that the program changed, else 0 */
	unsigned int cursor_row, cursor_col; /* inside the screen */
	bool cursor_visible;
	enum screen_cursor_shape cursor_shape;
	uint32_t modes; /* enum screen_mode */
	enum screen_mouse_mode mouse_mode;
	enum screen_mouse_encoding mouse_encoding;
	uint32_t kitty_flags;
	uint32_t modify_other_keys; /* XTMODKEYS 4: 0 off, 1 where a key would be lost, 2 every key */
	uint16_t title_len;
	char title[SCREEN_TITLE_BYTES_MAX + 1]; /* clean UTF-8 (no controls), NUL-terminated */
};

/* An empty screen of 0 x 0, for screen_apply and screen_copy: frees nothing, allocates nothing. */
#define SCREEN_NULL ((struct screen){ .cursor_visible = true, .generation = SCREEN_GENERATION_MASK })

/* Blank, cursor visible at 0,0. -EINVAL outside 1..MAX, -ENOMEM. */
int screen_init(struct screen *screen, unsigned int cols, unsigned int rows);
/* Leaves SCREEN_NULL behind. */
void screen_deinit(struct screen *screen);
/* Makes `to` (initialised, or SCREEN_NULL) the same picture as `from`, reusing its memory; rows that are the same
 * already are not copied. On -ENOMEM `to` is still valid, but its picture is not defined. */
int screen_copy(struct screen *to, const struct screen *from);
/* Cuts or pads at the right and the bottom; the cursor is moved inside. -EINVAL, -ENOMEM (unchanged). */
int screen_resize(struct screen *screen, unsigned int cols, unsigned int rows);

/* The style of a cell. Never NULL; an index that is not known gives the default style. */
const struct screen_style *screen_style(const struct screen *screen, uint16_t index);
/* The UTF-8 of a cell, not NUL-terminated; returns its length, 0 for the right half of a wide one. `buffer` holds
 * SCREEN_CLUSTER_BYTES_MAX and is where single code points are put; *ret_text points into it or into the table. */
size_t screen_cell_text(const struct screen *screen, const struct screen_cell *cell, char *buffer, const char **ret_text);
/* Appends the row's text, without the blanks at its end. */
int screen_row_text(const struct screen *screen, unsigned int row, struct buf *out);
/* Appends all rows, each ended by a newline (wrapped rows too), without the blank ones at the end. */
int screen_text(const struct screen *screen, struct buf *out);
/* Whether both show the same: size, cells by content, marks, cursor, modes, title. For tests and checks. */
bool screen_equal(const struct screen *a, const struct screen *b);

/* The address behind a style's `link`: printable ASCII, http, https or mailto, not NUL-terminated. 0: there is none. */
size_t screen_link_text(const struct screen *screen, uint16_t link, const char **ret_text);
/* Its id: printable ASCII but ':' and ';'. 0: none. */
size_t screen_link_id(const struct screen *screen, uint16_t link, const char **ret_text);
/* Whether an address and its id may be kept, sent and shown: see above. Nothing in them can end an escape sequence. */
bool screen_link_allowed(const struct screen_address *address);
bool screen_link_id_allowed(const char *text, size_t len);
/* Appends the sequences (OSC 133) that mark the row of the cursor so. */
int screen_mark_put(struct screen_mark mark, struct buf *out);
/* A colour of a style as it must be drawn: what the program made of it, if it changed that colour. `standard` says
 * whose default colour 0 is: SCREEN_PALETTE_FOREGROUND or SCREEN_PALETTE_BACKGROUND. */
uint32_t screen_colour(const struct screen *screen, uint32_t colour, enum screen_palette standard);

/* What may stand in a cell: no controls, no surrogates, nothing that changes the direction of text, no separators. */
bool screen_code_allowed(uint32_t code);

/* Appends the packed ScreenUpdate that turns `from` into `to`. from NULL, never shown (frame 0) or of another size: a
 * keyframe. `to->frame` must not be 0 and not from->frame. *ret_changed (may be NULL) tells whether anything differs
 * but the frame number; if not, there is no need to send it. On errors `out` is as it was.
 * An update may be longer than SCREEN_UPDATE_BYTES_MAX (a full repaint of noise above 300 x 300): -EMSGSIZE. */
int screen_encode(const struct screen *from, const struct screen *to, struct buf *out, bool *ret_changed);
/* Applies what screen_encode made. Everything is checked first: whatever the bytes, the screen is unchanged unless 0
 * comes back. -ENOMEM leaves it unchanged too; a cluster that found no room is shown as U+FFFD. */
int screen_apply(struct screen *screen, const void *data, size_t len);

/* --- for the emulator ---------------------------------------------------------------------------------------- */

void screen_renew_generation(struct screen *screen);
/* Marks the row as changed. Whoever writes cells calls it, and keeps `used` true. */
static inline void screen_touch(struct screen *screen, struct screen_row *row)
{
	if (!(++screen->generation & SCREEN_GENERATION_MASK))
		screen_renew_generation(screen);
	row->generation = screen->generation;
}
/* Makes all cells of a row default blanks. */
void screen_row_clear(struct screen *screen, struct screen_row *row);
/* Row r becomes what row r + delta was, for rows top to bottom - 1; rows from outside are cleared. */
void screen_scroll(struct screen *screen, unsigned int top, unsigned int bottom, int delta);
/* Makes broken pairs of a row whole again: a wide cell without its right half, or the other way round, is blanked. */
void screen_row_mend(struct screen *screen, struct screen_row *row);
/* Rows of cells on their own, as a screen has them: blank, of one allocation each for rows and cells. -ENOMEM. */
int screen_grid_new(struct screen *screen, unsigned int cols, unsigned int rows, struct screen_row **ret_row,
	struct screen_cell **ret_slab);
/* The index of a style, entered if it is new. SCREEN_STYLES_MAX if the table is full: collect, and try again.
 * -ENOMEM shows as a full table. */
uint32_t screen_style_intern(struct screen *screen, const struct screen_style *style);
/* The glyph of a cluster of 1 to SCREEN_CLUSTER_BYTES_MAX bytes. 0 if the table is full or memory is short. */
uint32_t screen_cluster_intern(struct screen *screen, const char *text, size_t len);

/* The index of an address, entered if it is new. 0: not allowed, the table is full, or memory is short. */
uint16_t screen_link_intern(struct screen *screen, const struct screen_address *address);

/* Collecting what no cell shows any more: begin, mark every cell that counts beyond the screen's own (the hidden
 * screen, scrollback), then sweep. */
struct screen_marks {
	uint8_t *styles, *clusters; /* a byte each */
	uint8_t links[SCREEN_LINKS_MAX + 1]; /* beyond those of the marked styles */
	uint32_t style_count, cluster_count;
};
int screen_collect_begin(const struct screen *screen, struct screen_marks *ret_marks);
void screen_collect_mark(struct screen_marks *marks, const struct screen_cell *cells, size_t count);
/* Frees the marks. */
void screen_collect_sweep(struct screen *screen, struct screen_marks *marks);

/* --- shared by the files of this component ------------------------------------------------------------------- */

/* Sets a style at an index that the sender chose. */
int screen_style_define(struct screen *screen, uint32_t index, const struct screen_style *style);
int screen_styles_copy(struct screen_styles *to, const struct screen_styles *from);
void screen_styles_deinit(struct screen_styles *styles);
int screen_clusters_copy(struct screen_clusters *to, const struct screen_clusters *from);
void screen_clusters_deinit(struct screen_clusters *clusters);
bool screen_style_equal(const struct screen_style *a, const struct screen_style *b);
int screen_links_copy(struct screen_links *to, const struct screen_links *from);
void screen_links_deinit(struct screen_links *links);
/* Sets a link at an index that the sender chose, 1 to SCREEN_LINKS_MAX. -ENOMEM. */
int screen_link_define(struct screen *screen, uint16_t link, const struct screen_address *address);
bool screen_link_equal(const struct screen *a, uint16_t a_link, const struct screen *b, uint16_t b_link);
/* Frees the links that are not marked. */
void screen_links_sweep(struct screen_links *links, const uint8_t *marks);
bool screen_palette_equal(const struct screen *a, const struct screen *b);
/* What may follow the first code point of a cluster. */
bool screen_code_joins(uint32_t code);
