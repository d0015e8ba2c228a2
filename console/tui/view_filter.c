/* The line in which a filter is written; the list below follows with every key. */
#include "console/tui/ui.h"

struct filter_line {
	struct view view;
	struct filter *filter; /* of the view below, which outlives this */
};

static struct filter_line *line_of(struct view *view)
{
	return container_of(view, struct filter_line, view);
}

static void line_free(struct view *view)
{
	free(line_of(view));
}

static void line_draw(struct view *view, struct area area)
{
	struct ui *ui = view->ui;
	struct area box = { area.y + area.h - 3, area.x, 3, area.w }, in;
	int y, x;

	draw_fill(box, draw_look(&ui->theme, THEME_TEXT, 0));
	in = draw_pane(&ui->theme, box, true, "Show only what holds");
	in.x++;
	in.w -= 2;
	edit_draw(&ui->theme, &line_of(view)->filter->edit, in, draw_look(&ui->theme, THEME_TEXT, 0), &y, &x);
	ui_set_cursor(ui, y, x);
}

static bool line_key(struct view *view, int key)
{
	return key != KEY_ESCAPE && edit_key(&line_of(view)->filter->edit, key);
}

static void line_paste(struct view *view, const char *text, size_t len)
{
	edit_insert(&line_of(view)->filter->edit, text, len);
}

static bool line_request(struct view *view, enum request request)
{
	struct ui *ui = view->ui;

	if (request == REQUEST_BACK)
		edit_set(&line_of(view)->filter->edit, "");
	if (request == REQUEST_BACK || request == REQUEST_YES)
		ui_pop(ui);
	return true;
}

static const struct view_ops line_ops = {
	.name = "Filter",
	.contexts = { CONTEXT_FILTER },
	.context_count = 1,
	.free = line_free,
	.draw = line_draw,
	.request = line_request,
	.key = line_key,
	.paste = line_paste,
};

int view_filter_new(struct view **ret_view, struct ui *ui, struct filter *filter)
{
	struct filter_line *line = calloc(1, sizeof(*line));

	if (!line)
		return -ENOMEM;
	line->view = (struct view){ &line_ops, ui };
	line->filter = filter;
	*ret_view = &line->view;
	return 0;
}
