#include "console/cli/listing.h"

#include <stdlib.h>
#include <string.h>

void listing_deinit(struct listing *listing)
{
	for (size_t i = 0; i < listing->page_count; i++)
		message_deinit(&listing->pages[i]);
	free(listing->pages);
	free(listing->list.tasks);
}

static int add_page(struct listing *listing, const Maestro__TaskList *page)
{
	Maestro__TaskList *list = &listing->list;
	Maestro__Task **tasks = realloc(list->tasks, (list->n_tasks + page->n_tasks + 1) * sizeof(*tasks));

	if (!tasks)
		return -ENOMEM;
	list->tasks = tasks;
	if (page->n_tasks)
		memcpy(tasks + list->n_tasks, page->tasks, page->n_tasks * sizeof(*tasks));
	list->n_tasks += page->n_tasks;
	return 0;
}

static int fetch_page(struct listing *listing, struct cli *cli, Maestro__ListTasks *ask, const Maestro__TaskList **ret_page,
	struct error *error)
{
	struct message *pages = realloc(listing->pages, (listing->page_count + 1) * sizeof(*pages));
	int r;

	if (!pages)
		return -ENOMEM;
	listing->pages = pages;
	pages[listing->page_count] = MESSAGE_NULL;
	r = cli_call(cli, MAESTRO__ENVELOPE__BODY_LIST_TASKS, ask, MAESTRO__ENVELOPE__BODY_TASK_LIST, CLIENT_DEADLINE_MS,
		&pages[listing->page_count], error);
	if (!r)
		*ret_page = client_reply_of(&pages[listing->page_count++])->task_list;
	return r;
}

int listing_fetch(struct listing *listing, struct cli *cli, Maestro__ListTasks *ask, struct error *error)
{
	const Maestro__TaskList *page = NULL;
	int r;

	ask->has_from = true;
	ask->from = 0;
	do {
		r = fetch_page(listing, cli, ask, &page, error);
		if (!r)
			r = add_page(listing, page);
		if (r)
			return r;
		/* One that does not go on would have us ask for ever. */
		if (page->has_next && page->next <= ask->from)
			return error_set(error, CLIENT_E_FAILED, "the coordinator's list of tasks does not end");
		ask->from = page->next;
	} while (page->has_next);
	return 0;
}
