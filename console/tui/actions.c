#include "console/tui/actions.h"
#include "proto/base/str.h"

#include <inttypes.h>
#include <string.h>

struct action {
	struct list link;
	struct ui *ui;
	uint64_t number;
	char done[200];
};

static void action_free(struct action *action)
{
	list_remove(&action->link);
	free(action);
}

static void say_failure(struct ui *ui, int r, const struct error *error)
{
	if (error && error->hint)
		ui_message(ui, THEME_BAD, "%s: %s", error_text(error, r), error->hint);
	else
		ui_message(ui, THEME_BAD, "%s", error_text(error, r));
}

static void on_reply(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct action *action = userdata;
	struct ui *ui = action->ui;
	char note[160];

	if (r) {
		say_failure(ui, r, error);
	} else if (reply && reply->body_case == MAESTRO__ENVELOPE__BODY_MERGED && reply->merged->has_note &&
		   reply->merged->note.len) {
		snprintf(note, sizeof(note), "%.*s", (int)(reply->merged->note.len > 150 ? 150 : reply->merged->note.len),
			(const char *)reply->merged->note.data);
		ui_message(ui, THEME_GOOD, "%s: %s", action->done, note);
	} else {
		ui_message(ui, THEME_GOOD, "%s", action->done);
	}
	action_free(action);
}

void action_send(struct ui *ui, Maestro__Envelope *request, uint32_t deadline_ms, const char *done)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct action *action = calloc(1, sizeof(*action));
	int r = -ENOMEM;

	if (action) {
		action->ui = ui;
		snprintf(action->done, sizeof(action->done), "%s", done);
		list_append(&ui->actions, &action->link);
		r = client_request(ui->client, request, deadline_ms, on_reply, action, &action->number, &error);
	}
	if (!r)
		return;
	say_failure(ui, r, &error);
	if (action)
		action_free(action);
}

void action_on_task(struct ui *ui, uint64_t task, Maestro__TaskAction what, const char *done)
{
	Maestro__ActOnTask act = MAESTRO__ACT_ON_TASK__INIT;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;

	act.task = task;
	act.action = what;
	request.body_case = MAESTRO__ENVELOPE__BODY_ACT_ON_TASK;
	request.act_on_task = &act;
	action_send(ui, &request, CLIENT_DEADLINE_MS, done);
}

void action_merge(struct ui *ui, uint64_t task, const char *commit)
{
	Maestro__MergeTask merge = MAESTRO__MERGE_TASK__INIT;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;
	char done[64];

	merge.task = task;
	merge.method = MAESTRO__MERGE_METHOD__MERGE_FF_ONLY;
	merge.commit = (char *)commit;
	merge.author = (Maestro__GitAuthor *)ui->config.author;
	request.body_case = MAESTRO__ENVELOPE__BODY_MERGE_TASK;
	request.merge_task = &merge;
	snprintf(done, sizeof(done), "task %" PRIu64 " is merged", task);
	ui_message(ui, THEME_TEXT, "merging task %" PRIu64 " ...", task);
	action_send(ui, &request, CLIENT_DEADLINE_GIT_MS, done);
}

void action_forget_all(struct ui *ui)
{
	struct action *action, *tmp;

	list_for_each_safe(action, tmp, &ui->actions, link) {
		client_cancel(ui->client, action->number);
		action_free(action);
	}
}
