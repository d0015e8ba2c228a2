/* A new task. What was written stays when the form is closed, until it was submitted. */
#include "console/tui/ui.h"
#include "proto/base/id.h"
#include "proto/base/str.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#include <inttypes.h>
#include <string.h>

enum field {
	FIELD_PROJECT,
	FIELD_AGENT,
	FIELD_TITLE,
	FIELD_PROMPT,
	FIELD_SUBMIT,
	FIELD_COUNT,
};

struct choices {
	char (*names)[LIMIT_NAME_CHARS + 8];
	size_t count, at;
};

struct form {
	struct view view;
	enum field field;
	struct choices projects, agents;
	char why[400];    /* what is wrong, shown in the form */
	uint64_t request; /* under way, 0: none */
	char request_id[ID_HEX_MAX(ID_RANDOM_BYTES)]; /* the same while the form is the same: a repeat is no second task */
};

static const char *const field_names[FIELD_COUNT] = { "Project", "Agent", "Title", "Prompt", "" };

static struct form *form_of(struct view *view)
{
	return container_of(view, struct form, view);
}

static void form_free(struct view *view)
{
	struct form *form = form_of(view);

	if (form->request)
		client_cancel(view->ui->client, form->request);
	free(form->projects.names);
	free(form->agents.names);
	free(form);
}

/* --- choices ------------------------------------------------------------------------------------------------- */

static void add_choice(struct choices *choices, const char *name, const char *wanted)
{
	for (size_t i = 0; i < choices->count; i++)
		if (strcmp(choices->names[i], name) == 0)
			return;
	if (strcmp(name, wanted) == 0)
		choices->at = choices->count;
	snprintf(choices->names[choices->count++], sizeof(*choices->names), "%s", name);
}

static int gather_projects(struct form *form)
{
	struct ui *ui = form->view.ui;
	size_t count = model_project_count(ui->model);

	form->projects.names = calloc(count + 1, sizeof(*form->projects.names));
	if (!form->projects.names)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		add_choice(&form->projects, model_project_at(ui->model, i)->name, ui->form_project);
	return 0;
}

/* What the workers have; the project's own default goes first, as the empty choice. */
static int gather_agents(struct form *form)
{
	struct ui *ui = form->view.ui;
	size_t count = 0;

	for (size_t i = 0; i < model_worker_count(ui->model); i++)
		count += model_worker_at(ui->model, i)->n_agents;
	form->agents.names = calloc(count + 2, sizeof(*form->agents.names));
	if (!form->agents.names)
		return -ENOMEM;
	add_choice(&form->agents, "", ui->form_agent);
	for (size_t i = 0; i < model_worker_count(ui->model); i++)
		for (size_t k = 0; k < model_worker_at(ui->model, i)->n_agents; k++)
			add_choice(&form->agents, model_worker_at(ui->model, i)->agents[k]->name, ui->form_agent);
	return 0;
}

static const char *choice(const struct choices *choices)
{
	return choices->count ? choices->names[choices->at] : "";
}

/* --- submitting ---------------------------------------------------------------------------------------------- */

static bool refuse(struct form *form, enum field field, const char *why)
{
	form->field = field;
	snprintf(form->why, sizeof(form->why), "%s", why);
	return false;
}

static bool valid(struct form *form)
{
	const struct edit *prompt = &form->view.ui->form_fields[1];

	if (!form->projects.count)
		return refuse(form, FIELD_PROJECT, "there is no project yet: run 'maestro project add NAME URL' or 'maestro up' in a repository");
	for (size_t i = 0; i < prompt->text.len; i++)
		if (prompt->text.data[i] > ' ')
			return true;
	return refuse(form, FIELD_PROMPT, "the prompt is empty: say what is to be done");
}

static void new_request_id(struct form *form)
{
	uint8_t id[ID_RANDOM_BYTES];

	id_random(id, sizeof(id));
	id_hex(id, sizeof(id), form->request_id);
}

static void on_submitted(struct client *client, int r, const Maestro__Envelope *reply, const struct error *error, void *userdata)
{
	struct form *form = userdata;
	struct ui *ui = form->view.ui;

	form->request = 0;
	ui_redraw(ui);
	if (r) {
		/* Refused: what comes next is another request. Not answered: it may be there, and a repeat finds it. */
		if (r != CLIENT_E_UNREACHABLE)
			new_request_id(form);
		snprintf(form->why, sizeof(form->why), "%s%s%s", error_text(error, r), error && error->hint ? ": " : "",
			error && error->hint ? error->hint : "");
		return;
	}
	edit_set(&ui->form_fields[0], "");
	edit_set(&ui->form_fields[1], "");
	if (reply->body_case == MAESTRO__ENVELOPE__BODY_SUBMITTED && reply->submitted->n_tasks)
		ui_message(ui, THEME_GOOD, "task %" PRIu64 " is queued", reply->submitted->tasks[0]);
	if (ui_top(ui) == &form->view)
		ui_pop(ui);
}

static void submit(struct form *form)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct ui *ui = form->view.ui;
	Maestro__Submit body = MAESTRO__SUBMIT__INIT;
	Maestro__Envelope request = MAESTRO__ENVELOPE__INIT;
	char *agent = (char *)choice(&form->agents);
	int r;

	if (form->request || !valid(form))
		return;
	form->why[0] = 0;
	snprintf(ui->form_project, sizeof(ui->form_project), "%s", choice(&form->projects));
	snprintf(ui->form_agent, sizeof(ui->form_agent), "%s", agent);
	body.has_request_id = true;
	body.request_id = bytes_of(form->request_id);
	body.project = (char *)choice(&form->projects);
	body.n_agents = *agent ? 1 : 0;
	body.agents = &agent;
	body.has_title = ui->form_fields[0].text.len > 0;
	body.title = bytes_of(buf_text(&ui->form_fields[0].text));
	body.prompt = bytes_of(buf_text(&ui->form_fields[1].text));
	body.author = (Maestro__GitAuthor *)ui->config.author;
	request.body_case = MAESTRO__ENVELOPE__BODY_SUBMIT;
	request.submit = &body;
	r = client_request(ui->client, &request, CLIENT_DEADLINE_MS, on_submitted, form, &form->request, &error);
	if (r) {
		form->request = 0;
		snprintf(form->why, sizeof(form->why), "%s", error_text(&error, r));
	}
}

/* --- drawing ------------------------------------------------------------------------------------------------- */

static void draw_choice(struct form *form, struct area area, const struct choices *choices, bool focus)
{
	struct ui *ui = form->view.ui;
	const char *name = choice(choices);
	char text[128];

	if (choices == &form->agents && !*name)
		name = "(the project's default, or the only one there is)";
	else if (!choices->count)
		name = "(none)";
	snprintf(text, sizeof(text), focus && choices->count > 1 ? "< %s >" : "%s", name);
	draw_text(&ui->theme, area.y, area.x, area.w, draw_look(&ui->theme, focus ? THEME_SELECTED : THEME_TEXT, 0), text);
	if (focus && choices->count > 1)
		draw_text(&ui->theme, area.y, area.x + draw_width(text) + 2, area.w - draw_width(text) - 2,
			draw_look(&ui->theme, THEME_DIM, 0), "left and right choose");
}

static void draw_edit(struct form *form, struct area area, struct edit *edit, bool focus)
{
	struct ui *ui = form->view.ui;
	int y, x;

	edit_draw(&ui->theme, edit, area, draw_look(&ui->theme, THEME_TEXT, 0), &y, &x);
	if (focus)
		ui_set_cursor(ui, y, x);
}

static void draw_label(struct form *form, int y, int x, enum field field)
{
	bool focus = form->field == field;

	draw_text(&form->view.ui->theme, y, x, 9, draw_look(&form->view.ui->theme, focus ? THEME_FOCUS : THEME_DIM, 0),
		field_names[field]);
}

static void draw_bottom(struct form *form, struct area in)
{
	const struct theme *theme = &form->view.ui->theme;
	const char *button = form->request ? " submitting ... " : " Submit (Ctrl-S) ";
	int y = in.y + in.h - 1;

	draw_text(theme, y, in.x, 20, draw_look(theme, form->field == FIELD_SUBMIT ? THEME_SELECTED : THEME_KEY, 0), button);
	draw_wrapped(theme, (struct area){ y - 2, in.x, 2, in.w }, draw_look(theme, THEME_BAD, 0), form->why, strlen(form->why), 0);
}

static void form_draw(struct view *view, struct area area)
{
	struct form *form = form_of(view);
	struct ui *ui = view->ui;
	int width = area.w > 104 ? 100 : area.w - 2, height = area.h > 36 ? 30 : area.h - 2;
	struct area box = { area.y + (area.h - height) / 2, area.x + (area.w - width) / 2, height, width }, in, prompt;

	draw_fill(box, draw_look(&ui->theme, THEME_TEXT, 0));
	in = draw_pane(&ui->theme, box, true, "New task");
	in.x++;
	in.w -= 2;
	for (int i = 0; i <= FIELD_PROMPT; i++)
		draw_label(form, in.y + i, in.x, (enum field)i);
	draw_choice(form, (struct area){ in.y, in.x + 10, 1, in.w - 10 }, &form->projects, form->field == FIELD_PROJECT);
	draw_choice(form, (struct area){ in.y + 1, in.x + 10, 1, in.w - 10 }, &form->agents, form->field == FIELD_AGENT);
	draw_edit(form, (struct area){ in.y + 2, in.x + 10, 1, in.w - 10 }, &ui->form_fields[0], form->field == FIELD_TITLE);
	prompt = (struct area){ in.y + 4, in.x, in.h - 7, in.w };
	prompt = draw_pane(&ui->theme, prompt, form->field == FIELD_PROMPT, NULL);
	draw_edit(form, prompt, &ui->form_fields[1], form->field == FIELD_PROMPT);
	draw_bottom(form, in);
}

/* --- keys ---------------------------------------------------------------------------------------------------- */

static void step_field(struct form *form, int by)
{
	form->field = (enum field)((form->field + FIELD_COUNT + by) % FIELD_COUNT);
}

static bool choose(struct choices *choices, int key)
{
	if (!choices->count)
		return false;
	if (key == KEY_CURSES(KEY_RIGHT) || key == ' ')
		choices->at = (choices->at + 1) % choices->count;
	else if (key == KEY_CURSES(KEY_LEFT))
		choices->at = (choices->at + choices->count - 1) % choices->count;
	else
		return false;
	return true;
}

static bool form_key(struct view *view, int key)
{
	struct form *form = form_of(view);
	bool enter = key == '\r' || key == '\n' || key == KEY_CURSES(KEY_ENTER);

	if (form->field == FIELD_SUBMIT && (enter || key == ' ')) {
		submit(form);
		return true;
	}
	if (form->field == FIELD_PROMPT) {
		form->why[0] = 0;
		return edit_key(&view->ui->form_fields[1], key);
	}
	if (enter || key == KEY_CURSES(KEY_DOWN) || key == KEY_CURSES(KEY_UP)) {
		step_field(form, key == KEY_CURSES(KEY_UP) ? -1 : 1);
		return true;
	}
	if (form->field == FIELD_TITLE)
		return edit_key(&view->ui->form_fields[0], key);
	if (form->field == FIELD_PROJECT || form->field == FIELD_AGENT)
		return choose(form->field == FIELD_PROJECT ? &form->projects : &form->agents, key);
	return false;
}

static void form_paste(struct view *view, const char *text, size_t len)
{
	struct form *form = form_of(view);

	if (form->field != FIELD_TITLE && form->field != FIELD_PROMPT)
		form->field = FIELD_PROMPT;
	if (!edit_insert(&view->ui->form_fields[form->field == FIELD_TITLE ? 0 : 1], text, len))
		snprintf(form->why, sizeof(form->why), "too long: a prompt may have %u bytes", LIMIT_PROMPT_BYTES);
}

static bool form_request(struct view *view, enum request request)
{
	struct form *form = form_of(view);

	if (request == REQUEST_SUBMIT)
		submit(form);
	else if (request == REQUEST_FIELD_NEXT || request == REQUEST_FIELD_PREVIOUS)
		step_field(form, request == REQUEST_FIELD_NEXT ? 1 : -1);
	else if (request == REQUEST_BACK)
		ui_pop(view->ui);
	return true;
}

static const struct view_ops form_ops = {
	.name = "New task",
	.contexts = { CONTEXT_FORM },
	.context_count = 1,
	.free = form_free,
	.draw = form_draw,
	.request = form_request,
	.key = form_key,
	.paste = form_paste,
};

int view_form_new(struct view **ret_view, struct ui *ui)
{
	struct form *form = calloc(1, sizeof(*form));

	if (!form)
		return -ENOMEM;
	form->view = (struct view){ &form_ops, ui };
	new_request_id(form);
	if (gather_projects(form) < 0 || gather_agents(form) < 0) {
		form_free(&form->view);
		return -ENOMEM;
	}
	form->field = form->projects.count > 1 ? FIELD_PROJECT : FIELD_PROMPT;
	*ret_view = &form->view;
	return 0;
}
