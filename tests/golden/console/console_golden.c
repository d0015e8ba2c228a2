/* Keys in, screen out: runs a console on a pseudo-terminal whose other end is our own emulator, types what a script
 * says, and compares the screen with the one that is kept.
 *
 * console-golden CONSOLE SCRIPT COLSxROWS
 *
 * It never waits for a time: it waits for the screen to be the one that is expected, and fails at a deadline. With
 * MAESTRO_GOLDEN_UPDATE set it writes what it sees instead (once the output is still): look at it before you keep it.
 *
 * Keys, changes of the scene and the window's size reach the console by different ways: between two of them there must
 * be a dump that shows what the first did. A script has one command a line:
 *   env NAME=VALUE      before `run`
 *   run SCENE           starts the console
 *   keys TEXT           types; <Enter> <Esc> <Tab> <Up> … <C-x> are keys
 *   paste TEXT          as a terminal marks it; \n is a new line
 *   click ROW COL       of the screen, from 1
 *   resize COLSxROWS
 *   do COMMAND          changes the scene (fake.c)
 *   dump NAME           the screen's text must be this
 *   styles NAME         the same, and how each cell looks
 *   signal NAME         TERM, SEGV, WINCH
 *   exit STATUS|any     the console ends, and leaves the terminal as it was */
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/base/buf.h"
#include "worker/screen/emulator.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define DEADLINE_MS 20000
#define STILL_MS 500

struct golden {
	const char *console;
	char kept_path[512];
	bool update;
	unsigned int cols, rows;
	struct emulator *emulator;
	int master, command;
	pid_t pid;
	bool over;          /* the terminal has been hung up */
	struct buf expected; /* the kept file */
	struct buf seen;    /* what it would be now */
	int line;
	const char *script;
};

static _Noreturn void give_up(struct golden *golden, const char *what, const char *detail)
{
	fprintf(stderr, "%s:%d: %s %s\n", golden->script, golden->line, what, detail);
	if (golden->pid > 0)
		kill(golden->pid, SIGKILL);
	exit(1);
}

/* --- the terminal -------------------------------------------------------------------------------------------- */

/* Takes in what came; false at the deadline. */
static bool pump(struct golden *golden, uint64_t timeout_ms)
{
	struct pollfd in = { .fd = golden->master, .events = POLLIN };
	char data[8192];
	ssize_t n;

	if (golden->over || poll(&in, 1, (int)timeout_ms) <= 0)
		return false;
	n = read(golden->master, data, sizeof(data));
	if (n <= 0) {
		golden->over = true;
		return true;
	}
	emulator_write(golden->emulator, data, (size_t)n);
	return true;
}

static void child(struct golden *golden, const char *scene, const char *slave, int command)
{
	char number[16];
	int fd;

	setsid();
	fd = open(slave, O_RDWR);
	if (fd < 0)
		_exit(127);
	ioctl(fd, TIOCSCTTY, 0);
	dup2(fd, 0);
	dup2(fd, 1);
	if (getenv("MAESTRO_GOLDEN_STDERR") == NULL)
		dup2(open("/dev/null", O_WRONLY), 2);
	snprintf(number, sizeof(number), "%d", command);
	execl(golden->console, golden->console, scene, number, NULL);
	_exit(127);
}

static void run(struct golden *golden, const char *scene)
{
	struct winsize size = { .ws_col = (unsigned short)golden->cols, .ws_row = (unsigned short)golden->rows };
	int pipes[2];
	char *slave;

	if (golden->emulator)
		emulator_free(take(golden->emulator));
	golden->over = false;
	if (emulator_new(&golden->emulator, golden->cols, golden->rows, 0) < 0 || pipe2(pipes, 0) < 0)
		give_up(golden, "cannot run", scene);
	fcntl(pipes[1], F_SETFD, FD_CLOEXEC);
	golden->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	grantpt(golden->master);
	unlockpt(golden->master);
	slave = ptsname(golden->master);
	ioctl(golden->master, TIOCSWINSZ, &size);
	golden->pid = fork();
	if (golden->pid == 0)
		child(golden, scene, slave, pipes[0]);
	close(pipes[0]);
	golden->command = pipes[1];
}

/* --- dumps --------------------------------------------------------------------------------------------------- */

/* One letter a cell: what a person would tell apart. */
static char look_letter(const struct screen_style *style)
{
	uint32_t colour = style->attributes & SCREEN_REVERSE && style->foreground == 0 ? style->background : style->foreground;

	if (style->attributes & SCREEN_REVERSE)
		return SCREEN_COLOUR_KIND(colour) == 1 && (colour & 255) < 8 ? (char)('A' + (colour & 255)) : 'R';
	if (SCREEN_COLOUR_KIND(style->background) == 1)
		return '#';
	if (SCREEN_COLOUR_KIND(colour) == 1)
		return (colour & 255) < 8 ? (char)('0' + (colour & 255)) : 'c';
	return style->attributes & SCREEN_BOLD ? 'b' : style->attributes & SCREEN_FAINT ? 'd' : style->underline ? 'u' : ' ';
}

static void dump_styles(const struct screen *screen, struct buf *out)
{
	for (unsigned int y = 0; y < screen->rows; y++) {
		size_t start = out->len;

		buf_append_byte(out, ':');
		for (unsigned int x = 0; x < screen->cols; x++)
			buf_append_byte(out, (uint8_t)look_letter(screen_style(screen, screen->row[y].cells[x].style)));
		while (out->len > start + 1 && out->data[out->len - 1] == ' ')
			out->len--;
		buf_append_byte(out, '\n');
	}
}

static void dump(struct golden *golden, const char *name, bool styles, struct buf *out)
{
	const struct screen *screen = emulator_screen(golden->emulator);

	buf_clear(out);
	buf_printf(out, "=== %s\n", name);
	emulator_text(golden->emulator, out);
	if (styles)
		dump_styles(screen, out);
	if (screen->cursor_visible)
		buf_printf(out, "cursor %u,%u\n", screen->cursor_row + 1, screen->cursor_col + 1);
}

/* The part of the kept file that begins with this name. */
static const char *expected_part(struct golden *golden, const char *name, size_t *ret_len)
{
	char head[128];
	const char *start, *end;

	snprintf(head, sizeof(head), "=== %s\n", name);
	start = strstr(buf_text(&golden->expected), head);
	if (!start)
		give_up(golden, "nothing is kept for", name);
	end = strstr(start + 4, "\n=== ");
	*ret_len = end ? (size_t)(end - start) + 1 : strlen(start);
	return start;
}

static void settle(struct golden *golden)
{
	while (pump(golden, STILL_MS))
		;
}

static void check_dump(struct golden *golden, const char *name, bool styles)
{
	_cleanup_(buf_deinit) struct buf now = BUF_NULL;
	uint64_t deadline_ms = clock_boottime_ms() + DEADLINE_MS;
	const char *kept;
	size_t len;

	if (golden->update) {
		settle(golden);
		dump(golden, name, styles, &now);
		buf_append(&golden->seen, now.data, now.len);
		return;
	}
	kept = expected_part(golden, name, &len);
	for (;;) {
		uint64_t now_ms = clock_boottime_ms();

		dump(golden, name, styles, &now);
		if (now.len == len && memcmp(now.data, kept, len) == 0)
			return;
		if (now_ms >= deadline_ms || !pump(golden, deadline_ms - now_ms))
			break;
	}
	fprintf(stderr, "expected:\n%.*s\nseen:\n%s\n", (int)len, kept, buf_text(&now));
	give_up(golden, "another screen than is kept in", golden->kept_path);
}

/* --- keys ---------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *bytes;
} key_names[] = {
	{ "Enter", "\r" }, { "Esc", "\033" }, { "Tab", "\t" }, { "Space", " " }, { "Up", "\033OA" }, { "Down", "\033OB" },
	{ "Right", "\033OC" }, { "Left", "\033OD" }, { "Home", "\033OH" }, { "End", "\033OF" }, { "PgUp", "\033[5~" },
	{ "PgDn", "\033[6~" }, { "Del", "\033[3~" }, { "BackTab", "\033[Z" }, { "Backspace", "\177" }, { "lt", "<" },
};

static size_t add_key(struct golden *golden, const char *text, struct buf *out)
{
	const char *end = strchr(text, '>');
	size_t len = end ? (size_t)(end - text - 1) : 0;

	if (len == 3 && text[1] == 'C' && text[2] == '-') {
		buf_append_byte(out, text[3] & 0x1f);
		return len + 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(key_names); i++) {
		if (strlen(key_names[i].name) == len && strncmp(key_names[i].name, text + 1, len) == 0) {
			buf_append_str(out, key_names[i].bytes);
			return len + 2;
		}
	}
	give_up(golden, "no such key:", text);
}

static void type(struct golden *golden, const char *text)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	while (*text) {
		if (*text == '<')
			text += add_key(golden, text, &out);
		else
			buf_append_byte(&out, (uint8_t)*text++);
	}
	if (io_write_all(golden->master, out.data, out.len) < 0)
		give_up(golden, "cannot type", text);
}

static void paste(struct golden *golden, const char *text)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;

	buf_append_str(&out, "\033[200~");
	for (; *text; text++) {
		bool newline = text[0] == '\\' && text[1] == 'n';

		buf_append_byte(&out, newline ? '\r' : (uint8_t)*text);
		text += newline;
	}
	buf_append_str(&out, "\033[201~");
	if (io_write_all(golden->master, out.data, out.len) < 0)
		give_up(golden, "cannot paste", "");
}

static void click(struct golden *golden, const char *text)
{
	_cleanup_(buf_deinit) struct buf out = BUF_NULL;
	unsigned int y, x;

	if (sscanf(text, "%u %u", &y, &x) != 2)
		give_up(golden, "click ROW COL, not", text);
	buf_printf(&out, "\033[<0;%u;%uM\033[<0;%u;%um", x, y, x, y);
	if (io_write_all(golden->master, out.data, out.len) < 0)
		give_up(golden, "cannot click", text);
}

/* --- the rest ------------------------------------------------------------------------------------------------ */

static void resize(struct golden *golden, const char *text)
{
	struct winsize size = { 0 };
	unsigned int cols, rows;

	if (sscanf(text, "%ux%u", &cols, &rows) != 2)
		give_up(golden, "resize COLSxROWS, not", text);
	size.ws_col = (unsigned short)cols;
	size.ws_row = (unsigned short)rows;
	if (emulator_resize(golden->emulator, cols, rows) < 0 || ioctl(golden->master, TIOCSWINSZ, &size) < 0)
		give_up(golden, "cannot resize to", text);
}

static void send_signal(struct golden *golden, const char *name)
{
	kill(golden->pid, strcmp(name, "SEGV") == 0 ? SIGSEGV : strcmp(name, "WINCH") == 0 ? SIGWINCH : SIGTERM);
}

static void change(struct golden *golden, const char *command)
{
	_cleanup_(buf_deinit) struct buf line = BUF_NULL;

	buf_printf(&line, "%s\n", command);
	if (io_write_all(golden->command, line.data, line.len) < 0)
		give_up(golden, "cannot do", command);
}

/* The terminal must be as it was: whoever looks after us has to be able to work in it. */
static void check_restored(struct golden *golden)
{
	const struct screen *screen = emulator_screen(golden->emulator);

	if (screen->modes & (SCREEN_MODE_ALTERNATE | SCREEN_MODE_APP_CURSOR | SCREEN_MODE_BRACKETED_PASTE))
		give_up(golden, "the terminal was left in a mode", "");
	if (screen->mouse_mode != SCREEN_MOUSE_NONE)
		give_up(golden, "the terminal was left with its mouse on", "");
	if (!screen->cursor_visible)
		give_up(golden, "the terminal was left without its cursor", "");
}

static void check_exit(struct golden *golden, const char *expected)
{
	uint64_t deadline_ms = clock_boottime_ms() + DEADLINE_MS;
	int status, code;

	while (!golden->over)
		if (!pump(golden, DEADLINE_MS) || clock_boottime_ms() > deadline_ms)
			give_up(golden, "it does not end", "");
	if (waitpid(golden->pid, &status, 0) < 0)
		give_up(golden, "waitpid", "");
	golden->pid = 0;
	close(golden->master);
	close(golden->command);
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (strcmp(expected, "any") != 0 && code != atoi(expected))
		give_up(golden, code == 127 ? "it was not started; wanted status" : "it ended with another status than", expected);
	check_restored(golden);
}

static void set_env(struct golden *golden, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *equals = copy ? strchr(copy, '=') : NULL;

	if (!equals)
		give_up(golden, "env NAME=VALUE, not", text);
	*equals = 0;
	setenv(copy, equals + 1, 1);
}

static void dump_text(struct golden *golden, const char *name)
{
	check_dump(golden, name, false);
}

static void dump_with_styles(struct golden *golden, const char *name)
{
	check_dump(golden, name, true);
}

static const struct {
	const char *name;
	void (*run)(struct golden *golden, const char *rest);
} commands[] = {
	{ "env", set_env }, { "run", run }, { "keys", type }, { "paste", paste }, { "click", click }, { "resize", resize },
	{ "do", change }, { "dump", dump_text }, { "styles", dump_with_styles }, { "signal", send_signal }, { "exit", check_exit },
};

static void run_line(struct golden *golden, char *line)
{
	char *rest = strchr(line, ' ');

	golden->line++;
	if (!*line || *line == '#')
		return;
	if (rest)
		*rest++ = 0;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, line) == 0) {
			commands[i].run(golden, rest ? rest : "");
			return;
		}
	}
	give_up(golden, "no such command:", line);
}

static void load_kept(struct golden *golden)
{
	char *text;
	size_t len;

	if (golden->update)
		return;
	if (io_read_file(golden->kept_path, 1 << 22, &text, &len) != 0)
		give_up(golden, "cannot read", golden->kept_path);
	buf_append(&golden->expected, text, len);
	free(text);
}

int main(int argc, char **argv)
{
	struct golden golden = { .update = getenv("MAESTRO_GOLDEN_UPDATE") != NULL };
	_cleanup_free_ char *text = NULL;
	const char *dot;
	char *rest;

	if (argc < 4 || sscanf(argv[3], "%ux%u", &golden.cols, &golden.rows) != 2 || !(dot = strrchr(argv[2], '.')))
		return 2;
	signal(SIGPIPE, SIG_IGN);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("TERM", "xterm-256color", 1);
	setenv("TZ", "UTC", 1);
	unsetenv("NO_COLOR");
	unsetenv("COLUMNS");
	unsetenv("LINES");
	golden.console = argv[1];
	golden.script = argv[2];
	snprintf(golden.kept_path, sizeof(golden.kept_path), "%.*s.%s.txt", (int)(dot - argv[2]), argv[2], argv[3]);
	load_kept(&golden);
	if (io_read_file(argv[2], 1 << 20, &text, NULL) != 0)
		give_up(&golden, "cannot read", argv[2]);
	rest = text;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		run_line(&golden, line);
	if (golden.update && io_replace_file(golden.kept_path, golden.seen.data, golden.seen.len, 0644) < 0)
		give_up(&golden, "cannot write", golden.kept_path);
	emulator_free(golden.emulator);
	buf_deinit(&golden.expected);
	buf_deinit(&golden.seen);
	return 0;
}
