/* Every key, from the table that drives them: those of the view below first. */
#include "console/tui/ui.h"

#include <string.h>

struct help {
	struct view view;
	struct scroll scroll;
	enum key_context first; /* of the view that asked */
};

static struct help *help_of(struct view *view)
{
	return container_of(view, struct help, view);
}

static void help_free(struct view *view)
{
	free(help_of(view));
}

/* "Up k": all keys of a binding; those without a text of their own belong to the one above. */
static void keys_text(size_t index, struct buf *out)
{
	char name[KEY_NAME_MAX];

	buf_append_str(out, key_label(key_bindings[index].key, name));
	for (size_t i = index + 1; i < key_binding_count && key_bindings[i].context == key_bindings[index].context &&
		!key_bindings[i].help; i++)
		buf_printf(out, " %s", key_label(key_bindings[i].key, name));
}

/* Draws lines [top, top + h) of the help when `area` is there; returns how many there are. */
static int walk_context(struct help *help, enum key_context context, const struct area *area, int line)
{
	struct ui *ui = help->view.ui;
	int top = (int)help->scroll.top;

	if (area && line >= top && line - top < area->h)
		draw_text(&ui->theme, area->y + line - top, area->x, area->w, draw_look(&ui->theme, THEME_STRONG, A_UNDERLINE),
			key_context_name(context));
	line++;
	for (size_t i = 0; i < key_binding_count; i++) {
		_cleanup_(buf_deinit) struct buf keys = BUF_NULL;

		if (key_bindings[i].context != context || !key_bindings[i].help)
			continue;
		keys_text(i, &keys);
		if (area && line >= top && line - top < area->h) {
			draw_text(&ui->theme, area->y + line - top, area->x + 1, 19, draw_look(&ui->theme, THEME_KEY, 0), buf_text(&keys));
			draw_text(&ui->theme, area->y + line - top, area->x + 21, area->w - 21, draw_look(&ui->theme, THEME_TEXT, 0),
				key_bindings[i].help);
		}
		line++;
	}
	return line + 1;
}

static int walk(struct help *help, const struct area *area)
{
	static const enum key_context always[] = { CONTEXT_LIST, CONTEXT_GLOBAL };
	int line = walk_context(help, help->first, area, 0);

	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		if (always[i] != help->first)
			line = walk_context(help, always[i], area, line);
	for (int context = 0; context < CONTEXT_COUNT; context++)
		if (context != (int)help->first && context != CONTEXT_LIST && context != CONTEXT_GLOBAL)
			line = walk_context(help, (enum key_context)context, area, line);
	return line - 1;
}

static void help_draw(struct view *view, struct area area)
{
	struct help *help = help_of(view);
	int width = area.w > 84 ? 80 : area.w - 4, height = area.h > 44 ? 40 : area.h - 3;
	struct area box = { area.y + (area.h - height) / 2, area.x + (area.w - width) / 2, height, width }, in;
	size_t total;

	draw_fill(box, draw_look(&view->ui->theme, THEME_TEXT, 0));
	in = draw_pane(&view->ui->theme, box, true, "Keys");
	in.x++;
	in.w -= 2;
	total = (size_t)walk(help, NULL);
	help->scroll.count = total > (size_t)in.h ? total - (size_t)in.h + 1 : 1;
	help->scroll.page = (size_t)in.h;
	if (help->scroll.selected >= help->scroll.count)
		help->scroll.selected = help->scroll.count - 1;
	help->scroll.top = help->scroll.selected;
	walk(help, &in);
	draw_scrollbar(&view->ui->theme, in.y, box.x + box.w - 1, in.h, help->scroll.top, (size_t)in.h, total);
}

static bool help_request(struct view *view, enum request request)
{
	return scroll_request(&help_of(view)->scroll, request);
}

static const struct view_ops help_ops = {
	.name = "Help",
	.contexts = { CONTEXT_HELP, CONTEXT_LIST },
	.context_count = 2,
	.free = help_free,
	.draw = help_draw,
	.request = help_request,
};

int view_help_new(struct view **ret_view, struct ui *ui)
{
	struct help *help = calloc(1, sizeof(*help));

	if (!help)
		return -ENOMEM;
	help->view = (struct view){ &help_ops, ui };
	help->first = ui_top(ui)->ops->contexts[0];
	*ret_view = &help->view;
	return 0;
}
