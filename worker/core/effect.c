#include "worker/core/effect.h"

#include <stdlib.h>
#include "proto/wire/message.h"

void effects_init(struct effects *effects)
{
	list_init(&effects->list);
	effects->failed = false;
}

void effect_free(struct effect *effect)
{
	if (!effect)
		return;
	list_remove(&effect->link);
	if (effect->record)
		protobuf_c_message_free_unpacked(&effect->record->base, NULL);
	free(effect->why);
	free(effect->hint);
	free(effect);
}

void effects_deinit(struct effects *effects)
{
	struct effect *effect;

	while ((effect = list_first(&effects->list, struct effect, link)))
		effect_free(effect);
}

struct effect *effects_add(struct effects *effects, enum effect_kind kind, uint64_t task, uint32_t attempt)
{
	struct effect *effect = calloc(1, sizeof(*effect));

	if (!effect) {
		effects->failed = true;
		return NULL;
	}
	effect->kind = kind;
	effect->task = task;
	effect->attempt = attempt;
	list_append(&effects->list, &effect->link);
	return effect;
}

void effects_add_record(struct effects *effects, const Maestro__JournalRecord *record)
{
	struct effect *effect = effects_add(effects, EFFECT_JOURNAL, record->task, record->attempt);

	if (!effect)
		return;
	effect->record = message_copy(record);
	if (!effect->record)
		effects->failed = true;
}

void effects_move(struct effects *to, struct effects *from)
{
	struct effect *effect;

	while ((effect = list_first(&from->list, struct effect, link))) {
		list_remove(&effect->link);
		list_append(&to->list, &effect->link);
	}
	to->failed = to->failed || from->failed;
	from->failed = false;
}
