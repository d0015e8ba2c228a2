/* The way back is prepared before the way in: the bytes that undo everything are put together at the start, so that a
 * signal handler needs nothing but write() and tcsetattr(). */
#include "console/tui/term.h"
#include "console/tui/keys.h"

#include <curses.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

static struct {
	bool open;
	int in_fd, out_fd;
	FILE *out;
	SCREEN *screen;
	bool paste; /* bracketed paste is on */
	bool mouse;
	struct termios before;
	bool have_before;
	char reset[512]; /* bytes that undo what we did */
	size_t reset_len;
	struct sigaction old[ARRAY_SIZE(crash_signals)];
} term;

static const char paste_on[] = "\033[?2004h";
static const char paste_off[] = "\033[?2004l";
static const char mouse_off[] = "\033[?1006l\033[?1002l\033[?1000l";

/* Terminfo strings may hold delays, "$<50>", that only tputs() understands. */
static void add_reset(const char *text)
{
	if (!text || text == (char *)-1)
		return;
	while (*text && term.reset_len < sizeof(term.reset)) {
		const char *end = text[0] == '$' && text[1] == '<' ? strchr(text, '>') : NULL;

		if (end)
			text = end + 1;
		else
			term.reset[term.reset_len++] = *text++;
	}
}

static void prepare_reset(void)
{
	term.reset_len = 0;
	if (term.paste)
		add_reset(paste_off);
	if (tigetstr("kmous") && tigetstr("kmous") != (char *)-1)
		add_reset(mouse_off);
	add_reset(tigetstr("sgr0"));
	add_reset(tigetstr("rmkx"));
	add_reset(tigetstr("cnorm"));
	add_reset(tigetstr("rmcup"));
}

static void on_crash(int number)
{
	if (term.open) {
		ssize_t n = write(term.out_fd, term.reset, term.reset_len);

		(void)n;
		if (term.have_before)
			tcsetattr(term.in_fd, TCSANOW, &term.before);
	}
	for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++)
		if (crash_signals[i] == number)
			sigaction(number, &term.old[i], NULL);
	raise(number);
}

static void watch_crashes(bool on)
{
	struct sigaction action = { .sa_handler = on_crash };

	for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++) {
		if (on)
			sigaction(crash_signals[i], &action, &term.old[i]);
		else
			sigaction(crash_signals[i], &term.old[i], NULL);
	}
}

static void send(const char *text)
{
	fputs(text, term.out);
	fflush(term.out);
}

/* Terminals that report a mouse are xterm's children and know bracketed paste; others might print its digits. */
static bool knows_paste(void)
{
	const char *mouse = tigetstr("kmous");
	const char *begin = tigetstr("BE");

	return (mouse && mouse != (char *)-1) || (begin && begin != (char *)-1);
}

static void set_modes(void)
{
	raw();
	noecho();
	nonl();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	meta(stdscr, TRUE);
	set_escdelay(25);
	mouseinterval(0);
	curs_set(0);
	define_key("\033[200~", KEY_PASTE_BEGIN);
	define_key("\033[201~", KEY_PASTE_END);
	term_set_mouse(true);
	if (term.paste)
		send(paste_on);
}

/* newterm() loses memory when it fails: ask first. */
static bool known(const char *type, int fd)
{
	int why;

	if (!type || !*type || setupterm(type, fd, &why) != OK)
		return false;
	del_curterm(cur_term);
	return true;
}

int term_open(const struct term_config *config, struct error *error)
{
	const char *type = config->type ? config->type : getenv("TERM");

	require(!term.open);
	term.in_fd = fileno(config->in);
	term.out_fd = fileno(config->out);
	term.out = config->out;
	if (!isatty(term.in_fd) || !isatty(term.out_fd)) {
		error_set(error, TERM_E_UNKNOWN, "the console needs a terminal");
		error_hint(error, "in scripts use 'maestro ls', 'maestro events -f' and the other commands");
		return TERM_E_UNKNOWN;
	}
	term.have_before = tcgetattr(term.in_fd, &term.before) == 0;
	term.screen = known(type, term.out_fd) ? newterm(type, config->out, config->in) : NULL;
	if (!term.screen) {
		error_set(error, TERM_E_UNKNOWN, "this terminal (TERM=%s) is not known", type && *type ? type : "");
		error_hint(error, "set TERM to what it is, for example xterm-256color");
		return TERM_E_UNKNOWN;
	}
	set_term(term.screen);
	term.open = true;
	term.paste = knows_paste();
	prepare_reset();
	watch_crashes(true);
	set_modes();
	term_resize();
	return 0;
}

void term_close(void)
{
	if (!term.open)
		return;
	term_set_mouse(false);
	if (term.paste)
		send(paste_off);
	endwin();
	watch_crashes(false);
	term.open = false;
	delscreen(term.screen);
	term.screen = NULL;
	if (term.have_before)
		tcsetattr(term.in_fd, TCSADRAIN, &term.before);
}

void term_resize(void)
{
	struct winsize size;

	if (ioctl(term.out_fd, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
		return;
	if (size.ws_row != LINES || size.ws_col != COLS)
		resize_term(size.ws_row, size.ws_col);
	clearok(curscr, TRUE);
}

void term_suspend(void)
{
	sigset_t stop, old;

	term_set_mouse(false);
	if (term.paste)
		send(paste_off);
	endwin();
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, &old);
	raise(SIGTSTP);
	sigprocmask(SIG_SETMASK, &old, NULL);
	refresh();
	set_modes();
	term_resize();
}

void term_set_mouse(bool on)
{
	if (on == term.mouse)
		return;
	mousemask(on ? BUTTON1_PRESSED | BUTTON1_CLICKED | BUTTON1_DOUBLE_CLICKED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0,
		NULL);
	term.mouse = on;
}

int term_read_raw(void *buffer, size_t size, size_t *ret_len)
{
	struct pollfd poll_in = { .fd = term.in_fd, .events = POLLIN };
	ssize_t n;

	if (poll(&poll_in, 1, 0) <= 0) {
		*ret_len = 0;
		return 0;
	}
	n = read(term.in_fd, buffer, size);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? (*ret_len = 0, 0) : -errno;
	if (n == 0)
		return -EPIPE;
	*ret_len = (size_t)n;
	return 0;
}

void term_bell(void)
{
	beep();
}
