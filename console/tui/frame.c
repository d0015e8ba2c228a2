#include "console/tui/frame.h"
#include "console/tui/task.h"
#include "proto/base/clock.h"

#include <inttypes.h>
#include <string.h>

/* --- top line ------------------------------------------------------------------------------------------------ */

static int draw_count(struct ui *ui, int x, unsigned int count, struct theme_state state, const char *word, enum theme_role role)
{
	char text[48];

	snprintf(text, sizeof(text), " %s %u %s ", state.sign, count, word);
	return x + draw_text(&ui->theme, 0, x, COLS - x, draw_look(&ui->theme, count ? role : THEME_DIM, 0), text);
}

static int draw_counts(struct ui *ui, int x)
{
	const struct theme *theme = &ui->theme;
	struct task_counts counts = task_count(ui->model);
	struct theme_state waiting = theme_agent_state(theme, MAESTRO__AGENT_STATE__AGENT_NEEDS_INPUT);

	x = draw_count(ui, x, counts.running, theme_task_state(theme, MAESTRO__TASK_STATE__TASK_RUNNING), "running", THEME_GOOD);
	x = draw_count(ui, x, counts.waiting, waiting, "waiting for you", THEME_ALERT);
	x = draw_count(ui, x, counts.review, theme_task_state(theme, MAESTRO__TASK_STATE__TASK_REVIEW), "review", THEME_REVIEW);
	return draw_count(ui, x, counts.queued, theme_task_state(theme, MAESTRO__TASK_STATE__TASK_QUEUED), "queued", THEME_TEXT);
}

static void draw_connection(struct ui *ui, int x)
{
	bool paused = model_queue_paused(ui->model);
	const char *state = !model_ready(ui->model) ? "connecting" : model_age_ms(ui->model) ? "not connected" :
		paused ? "queue paused" : "connected";
	enum theme_role role = model_age_ms(ui->model) && model_ready(ui->model) ? THEME_BAD : paused ? THEME_WAITING : THEME_DIM;
	int width = draw_width(state) + 1;

	if (COLS - width > x)
		draw_text(&ui->theme, 0, COLS - width, width, draw_look(&ui->theme, role, 0), state);
}

static void draw_top(struct ui *ui)
{
	const struct theme *theme = &ui->theme;
	int x = 1;

	x += draw_text(theme, 0, x, COLS - x, draw_look(theme, THEME_HEADER, 0), "maestro ");
	if (COLS >= 90)
		x += draw_text(theme, 0, x, 40, draw_look(theme, THEME_DIM, 0), ui->config.where) + 1;
	draw_connection(ui, draw_counts(ui, x));
}

/* --- tabs ---------------------------------------------------------------------------------------------------- */

static int tab_text(struct ui *ui, size_t tab, char *text, size_t size)
{
	size_t badge = tab == UI_REVIEW ? task_count(ui->model).review : tab == UI_FLEET ? model_question_count(ui->model) : 0;

	if (badge)
		snprintf(text, size, " %zu %s (%zu) ", tab + 1, ui->tabs[tab]->ops->name, badge);
	else
		snprintf(text, size, " %zu %s ", tab + 1, ui->tabs[tab]->ops->name);
	return draw_width(text);
}

static void draw_tabs(struct ui *ui)
{
	int x = 0;

	for (size_t i = 0; i < UI_TABS; i++) {
		char text[48];
		int width = tab_text(ui, i, text, sizeof(text));

		draw_text(&ui->theme, 1, x, width, draw_look(&ui->theme, i == ui->tab ? THEME_TAB_OPEN : THEME_TAB, 0), text);
		x += width + 1;
	}
}

int frame_tab_at(struct ui *ui, int y, int x)
{
	int at = 0;

	for (size_t i = 0; y == 1 && i < UI_TABS; i++) {
		char text[48];
		int width = tab_text(ui, i, text, sizeof(text));

		if (x >= at && x < at + width)
			return (int)i;
		at += width + 1;
	}
	return -1;
}

/* --- banner -------------------------------------------------------------------------------------------------- */

/* How old the picture is stands where nobody can miss it; the picture itself stays. */
static int draw_banner(struct ui *ui, int y)
{
	uint64_t age_ms = model_age_ms(ui->model), retry_ms = model_retry_ms(ui->model);
	char text[400], age[CLOCK_AGE_MAX], retry[CLOCK_AGE_MAX + 24] = "trying now";
	const char *why = model_trouble(ui->model);

	if (!age_ms || (!model_ready(ui->model) && !*why))
		return 0;
	clock_format_age(age_ms, age);
	if (retry_ms) {
		char wait[CLOCK_AGE_MAX];

		snprintf(retry, sizeof(retry), "next try in %s", clock_format_age(retry_ms + 999, wait));
	}
	if (model_ready(ui->model))
		snprintf(text, sizeof(text), " No connection: this is how it was %s ago. %s%s%s ", age, *why ? why : "",
			*why ? "; " : "", retry);
	else
		snprintf(text, sizeof(text), " No connection: %s; %s ", why, retry);
	draw_field(&ui->theme, y, 0, COLS, draw_look(&ui->theme, THEME_ALERT, 0), text);
	return 1;
}

/* What only an admin can decide, and how: the first of it. */
static int draw_question(struct ui *ui, int y)
{
	size_t count = model_question_count(ui->model);
	const Maestro__Question *question = count ? model_question_at(ui->model, 0) : NULL;
	char text[400], more[32] = "";

	if (!question)
		return 0;
	if (count > 1)
		snprintf(more, sizeof(more), " (1 of %zu)", count);
	snprintf(text, sizeof(text), " maestro question show %" PRIu64 "%s: %.*s ", question->id, more,
		(int)(question->text.len < 300 ? question->text.len : 300), question->has_text ? (const char *)question->text.data : "");
	draw_field(&ui->theme, y, 0, COLS, draw_look(&ui->theme, THEME_WAITING, 0), text);
	return 1;
}

struct area frame_draw(struct ui *ui)
{
	int y = 2;

	draw_top(ui);
	draw_tabs(ui);
	y += draw_banner(ui, y);
	y += draw_question(ui, y);
	return (struct area){ y, 0, LINES - y - 1, COLS };
}

struct area frame_draw_plain(struct ui *ui)
{
	int y = draw_banner(ui, 0);

	return (struct area){ y, 0, LINES - y - 1, COLS };
}

/* --- bottom line --------------------------------------------------------------------------------------------- */

static int draw_hint(struct ui *ui, int x, int limit, const struct key_binding *binding)
{
	char name[KEY_NAME_MAX];
	int width = draw_width(key_label(binding->key, name)) + draw_width(binding->brief) + 3;

	if (x + width > limit)
		return x;
	x += draw_text(&ui->theme, LINES - 1, x, limit - x, draw_look(&ui->theme, THEME_KEY, 0), name) + 1;
	x += draw_text(&ui->theme, LINES - 1, x, limit - x, draw_look(&ui->theme, THEME_TEXT, 0), binding->brief) + 2;
	return x;
}

static int draw_hints_of(struct ui *ui, enum key_context context, int x, int limit)
{
	for (size_t i = 0; i < key_binding_count; i++)
		if (key_bindings[i].context == context && key_bindings[i].brief)
			x = draw_hint(ui, x, limit, &key_bindings[i]);
	return x;
}

void frame_draw_footer(struct ui *ui)
{
	const struct view_ops *ops = ui_top(ui)->ops;
	bool global = false;
	int x = 1;

	draw_fill((struct area){ LINES - 1, 0, 1, COLS }, draw_look(&ui->theme, THEME_TEXT, 0));
	if (ui->message[0]) {
		draw_text(&ui->theme, LINES - 1, 1, COLS - 2, draw_look(&ui->theme, ui->message_role, 0), ui->message);
		return;
	}
	for (size_t i = 0; i < ops->context_count; i++)
		global |= ops->contexts[i] == CONTEXT_GLOBAL;
	/* Room for "? help  q quit" is kept. */
	for (size_t i = 0; i < ops->context_count; i++)
		if (ops->contexts[i] != CONTEXT_GLOBAL)
			x = draw_hints_of(ui, ops->contexts[i], x, COLS - (global ? 16 : 0));
	if (global)
		draw_hints_of(ui, CONTEXT_GLOBAL, COLS - 15 > x ? COLS - 15 : x, COLS + 1);
}

void frame_draw_too_small(struct ui *ui)
{
	char text[80];

	snprintf(text, sizeof(text), "%dx%d is too small: maestro needs %dx%d", COLS, LINES, UI_COLS_MIN, UI_ROWS_MIN);
	draw_wrapped(&ui->theme, (struct area){ 0, 0, LINES, COLS }, draw_look(&ui->theme, THEME_TEXT, 0), text, strlen(text), 0);
}
