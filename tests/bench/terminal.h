/* How fast a program can print to a session's holder (with its transcript), to a pane of tmux, and to a bare PTY whose
 * other end only reads. The program is this one, started as `--feed`: it prints a stream over and over for a while,
 * asks for the terminal's status, and stops its clock when the answer has come: everything before it has been shown. */
#pragma once

/* name NULL: every stream. Returns what main returns. */
int terminal_measure(const char *name);
/* Prints the file, writes a line of figures to `result`. */
int terminal_feed(const char *stream, const char *result);
