/* The parts of `against`; each takes its arguments from behind its name and returns an exit code. */
#pragma once

#define AGAINST_PATH_MAX 4000

int against_drive(int argc, char **argv);
int against_feed(int argc, char **argv);
int against_judge(int argc, char **argv);
