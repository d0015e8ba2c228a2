/* Private directories and small commands for tests. */
#pragma once

/* A new directory. Caller gives it to fixture_dir_remove. Aborts on failure. */
char *fixture_dir_make(void);
void fixture_dir_remove(char *dir);
/* Runs `sh -c` of the text in `dir`, with git cut off from every configuration but an author. Its exit status. */
int fixture_shell(const char *dir, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, and its standard output without the newlines at the end. Caller frees. Aborts if it fails. */
char *fixture_output(const char *dir, const char *format, ...) __attribute__((format(printf, 2, 3)));
