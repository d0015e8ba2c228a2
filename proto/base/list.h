/* Intrusive doubly linked list with a sentinel. An entry is in one list at most; the list owns nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define LIST_INIT(name) ((struct list){ &(name), &(name) })

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->prev = list->next = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

/* Whether an entry that was set up with list_init is in some list. */
static inline bool list_linked(const struct list *entry)
{
	return entry->next && entry->next != entry;
}

static inline void list_insert_before(struct list *at, struct list *entry)
{
	entry->prev = at->prev;
	entry->next = at;
	at->prev->next = entry;
	at->prev = entry;
}

static inline void list_append(struct list *list, struct list *entry)
{
	list_insert_before(list, entry);
}

static inline void list_prepend(struct list *list, struct list *entry)
{
	list_insert_before(list->next, entry);
}

/* Takes an entry out and leaves it as after list_init, so that taking it out twice is harmless. */
static inline void list_remove(struct list *entry)
{
	if (!entry->next)
		return;
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	list_init(entry);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(list, type, member) (list_empty(list) ? NULL : list_entry((list)->next, type, member))
#define list_last(list, type, member) (list_empty(list) ? NULL : list_entry((list)->prev, type, member))

#define list_for_each(it, list, member)                                                                      \
	for (it = list_entry((list)->next, __typeof__(*it), member); &it->member != (list);                  \
		it = list_entry(it->member.next, __typeof__(*it), member))

/* The entry at hand may be taken out or freed. */
#define list_for_each_safe(it, tmp, list, member)                                                            \
	for (it = list_entry((list)->next, __typeof__(*it), member),                                         \
		tmp = list_entry(it->member.next, __typeof__(*it), member);                                  \
		&it->member != (list); it = tmp, tmp = list_entry(it->member.next, __typeof__(*it), member))
