#include "coordinator/core/effects.h"
#include "proto/wire/message.h"

#include <string.h>

static void effect_deinit(struct core_effect *effect)
{
	if (effect->row_owned)
		row_free(effect->table, (void *)(uintptr_t)effect->row);
	if (effect->envelope)
		protobuf_c_message_free_unpacked(&effect->envelope->base, NULL);
	free(effect->worker);
	free(effect->name);
}

void core_effects_clear(struct core_effects *effects)
{
	for (size_t i = 0; i < effects->count; i++)
		effect_deinit(&effects->items[i]);
	effects->count = 0;
	effects->error = 0;
}

void core_effects_deinit(struct core_effects *effects)
{
	core_effects_clear(effects);
	free(effects->items);
	*effects = CORE_EFFECTS_NULL;
}

static struct core_effect *append(struct core_effects *effects, enum core_effect_type type)
{
	if (effects->count == effects->size) {
		size_t size = effects->size ? effects->size * 2 : 16;
		struct core_effect *items = realloc(effects->items, size * sizeof(*items));

		if (!items) {
			effects->error = -ENOMEM;
			return NULL;
		}
		effects->items = items;
		effects->size = size;
	}
	memset(&effects->items[effects->count], 0, sizeof(*effects->items));
	effects->items[effects->count].type = type;
	return &effects->items[effects->count++];
}

static void set_name(struct core_effects *effects, char **field, const char *text)
{
	if (row_set_text(field, text))
		effects->error = -ENOMEM;
}

static void set_envelope(struct core_effects *effects, struct core_effect *effect, const Maestro__Envelope *envelope)
{
	effect->envelope = message_copy(envelope);
	if (!effect->envelope)
		effects->error = -ENOMEM;
}

void effect_put(struct core_effects *effects, enum row_table table, const void *row)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_PUT);

	if (!effect)
		return;
	effect->table = table;
	effect->row = row;
}

void effect_put_owned(struct core_effects *effects, enum row_table table, void *row)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_PUT);

	if (!effect) {
		row_free(table, row);
		return;
	}
	effect->table = table;
	effect->row = row;
	effect->row_owned = true;
}

void effect_drop(struct core_effects *effects, enum row_table table, const void *row)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_DROP);

	if (!effect)
		return;
	effect->table = table;
	effect->row = row;
}

void effect_drop_owned(struct core_effects *effects, enum row_table table, void *row)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_DROP);

	if (!effect) {
		row_free(table, row);
		return;
	}
	effect->table = table;
	effect->row = row;
	effect->row_owned = true;
}

void effect_send(struct core_effects *effects, const char *worker, const Maestro__Envelope *envelope)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_SEND);

	if (!effect)
		return;
	set_name(effects, &effect->worker, worker);
	set_envelope(effects, effect, envelope);
}

void effect_ask(struct core_effects *effects, const char *worker, uint64_t task, uint32_t attempt,
	const Maestro__Envelope *envelope)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_ASK);

	if (!effect)
		return;
	effect->task = task;
	effect->attempt = attempt;
	set_name(effects, &effect->worker, worker);
	set_envelope(effects, effect, envelope);
}

void effect_reply(struct core_effects *effects, uint64_t client, uint64_t request, const Maestro__Envelope *envelope)
{
	struct core_effect *effect;

	if (!client)
		return;
	effect = append(effects, CORE_EFFECT_REPLY);
	if (!effect)
		return;
	effect->client = client;
	effect->request = request;
	set_envelope(effects, effect, envelope);
}

static void append_named(struct core_effects *effects, enum core_effect_type type, const char *name)
{
	struct core_effect *effect = append(effects, type);

	if (effect)
		set_name(effects, &effect->name, name);
}

static void append_numbered(struct core_effects *effects, enum core_effect_type type, uint64_t number)
{
	struct core_effect *effect = append(effects, type);

	if (effect)
		effect->task = number;
}

void effect_changed_task(struct core_effects *effects, uint64_t task)
{
	append_numbered(effects, CORE_EFFECT_CHANGED_TASK, task);
}

void effect_changed_question(struct core_effects *effects, uint64_t question)
{
	append_numbered(effects, CORE_EFFECT_CHANGED_QUESTION, question);
}

void effect_changed_worker(struct core_effects *effects, const char *name)
{
	append_named(effects, CORE_EFFECT_CHANGED_WORKER, name);
}

void effect_load(struct core_effects *effects, const char *worker)
{
	append_named(effects, CORE_EFFECT_LOAD, worker);
}

void effect_changed_project(struct core_effects *effects, const char *name)
{
	append_named(effects, CORE_EFFECT_CHANGED_PROJECT, name);
}

void effect_status(struct core_effects *effects, uint64_t task, uint32_t attempt)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_STATUS);

	if (!effect)
		return;
	effect->task = task;
	effect->attempt = attempt;
}

void effect_disconnect(struct core_effects *effects, const char *worker, const char *why)
{
	struct core_effect *effect = append(effects, CORE_EFFECT_DISCONNECT);

	if (!effect)
		return;
	set_name(effects, &effect->worker, worker);
	set_name(effects, &effect->name, why);
}
