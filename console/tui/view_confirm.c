/* A question with two answers. */
#include "console/tui/ui.h"

#include <string.h>

struct confirm {
	struct view view;
	confirm_yes yes;
	uint64_t task;
	char commit[64];
	char *question;
};

static struct confirm *confirm_of(struct view *view)
{
	return container_of(view, struct confirm, view);
}

static void confirm_free(struct view *view)
{
	struct confirm *confirm = confirm_of(view);

	free(confirm->question);
	free(confirm);
}

static void confirm_draw(struct view *view, struct area area)
{
	struct confirm *confirm = confirm_of(view);
	const struct theme *theme = &view->ui->theme;
	int width = area.w > 74 ? 70 : area.w - 4, lines;
	struct area box, in;

	lines = draw_wrapped(theme, (struct area){ 0, 0, 0, width - 4 }, draw_look(theme, THEME_TEXT, 0), confirm->question,
		strlen(confirm->question), 0);
	box = (struct area){ area.y + (area.h - lines - 4) / 2, area.x + (area.w - width) / 2, lines + 4, width };
	draw_fill(box, draw_look(theme, THEME_TEXT, 0));
	in = draw_pane(theme, box, true, "Sure?");
	draw_wrapped(theme, (struct area){ in.y, in.x + 1, lines, in.w - 2 }, draw_look(theme, THEME_STRONG, 0), confirm->question,
		strlen(confirm->question), 0);
	draw_text(theme, in.y + lines + 1, in.x + 1, 7, draw_look(theme, THEME_KEY, 0), "y yes");
	draw_text(theme, in.y + lines + 1, in.x + 9, 7, draw_look(theme, THEME_KEY, 0), "n no");
}

static bool confirm_request(struct view *view, enum request request)
{
	struct confirm *confirm = confirm_of(view);
	struct ui *ui = view->ui;
	confirm_yes yes = confirm->yes;
	uint64_t task = confirm->task;
	char commit[64];

	if (request != REQUEST_YES && request != REQUEST_NO)
		return true;
	memcpy(commit, confirm->commit, sizeof(commit));
	ui_pop(ui);
	if (request == REQUEST_YES)
		yes(ui, task, *commit ? commit : NULL);
	return true;
}

static const struct view_ops confirm_ops = {
	.name = "Question",
	.contexts = { CONTEXT_CONFIRM },
	.context_count = 1,
	.free = confirm_free,
	.draw = confirm_draw,
	.request = confirm_request,
};

int view_confirm_new(struct view **ret_view, struct ui *ui, const char *question, confirm_yes yes, uint64_t task,
	const char *commit)
{
	struct confirm *confirm = calloc(1, sizeof(*confirm));

	if (!confirm)
		return -ENOMEM;
	confirm->question = strdup(question);
	if (!confirm->question) {
		free(confirm);
		return -ENOMEM;
	}
	confirm->view = (struct view){ &confirm_ops, ui };
	confirm->yes = yes;
	confirm->task = task;
	snprintf(confirm->commit, sizeof(confirm->commit), "%s", commit ? commit : "");
	*ret_view = &confirm->view;
	return 0;
}
