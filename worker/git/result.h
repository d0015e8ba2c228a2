/* Filling a message that is freed with protobuf-c's default allocator: everything in it is from malloc. */
#pragma once

#include <git2.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include "worker/git/job.h"

/* Copies text into a bytes field. `has` may be NULL (a required or repeated field). -ENOMEM. */
int result_bytes(ProtobufCBinaryData *field, protobuf_c_boolean *has, const void *data, size_t len);
/* Sets a string field to a commit's name. -ENOMEM. */
int result_commit(char **field, const git_oid *id);
/* A new, initialised sub-message; `init` is its generated init function. NULL when out of memory. */
#define result_new(type, init)                                                                               \
	({                                                                                                   \
		type *new_ = calloc(1, sizeof(*new_));                                                       \
		if (new_)                                                                                    \
			init(new_);                                                                          \
		new_;                                                                                        \
	})

/* What was left out of a commit, as "PATH (WHY)". At most RESULT_SKIPPED_MAX are named. */
#define RESULT_SKIPPED_MAX 50u
struct skipped {
	char **items;
	size_t count;
	size_t more; /* that are not named */
};
#define SKIPPED_NULL ((struct skipped){ NULL, 0, 0 })
int skipped_add(struct skipped *skipped, const char *path, const char *why);
void skipped_deinit(struct skipped *skipped);
int result_skipped(const struct skipped *skipped, size_t *ret_count, ProtobufCBinaryData **ret_items);
