/* The person's terminal while a command has all of it: taken once, given back on every way out, crashes included. */
#pragma once

#include <stdbool.h>
#include "proto/base/error.h"

/* Raw mode and the alternate screen. What was there is remembered in this process. */
int terminal_take(struct error *error);
/* Harmless when it is not taken. Only what a signal handler may do. */
void terminal_give_back(void);
/* 80 x 24 if the terminal does not say. */
void terminal_size(unsigned int *ret_cols, unsigned int *ret_rows);
