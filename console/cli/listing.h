/* Lists of tasks that may be long: asked for page by page, and handed on as one. */
#pragma once

#include "console/cli/cli.h"

struct listing {
	struct message *pages;
	size_t page_count;
	Maestro__TaskList list; /* of all pages; its tasks are the pages' */
};

#define LISTING_NULL { .list = MAESTRO__TASK_LIST__INIT }

void listing_deinit(struct listing *listing);
/* `ask` says which (its `from` is set here). CLIENT_E_… as cli_call. */
int listing_fetch(struct listing *listing, struct cli *cli, Maestro__ListTasks *ask, struct error *error);
