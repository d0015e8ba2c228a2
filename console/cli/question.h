/* The questions that the cluster asks its admin, for the commands that show them. */
#pragma once

#include "console/cli/cli.h"

#define QUESTION_ANSWER_MS 90000u /* a worker may be asked first */

/* The open ones, or all. The list is the reply's. */
int question_list(struct cli *cli, bool all, struct message *ret_reply, const Maestro__QuestionList **ret_list,
	struct error *error);
