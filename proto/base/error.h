/* Errors, and the cleanup attributes that keep them honest.
 *
 * Two kinds of result, as in dbus-broker:
 *   - negative: an errno (-ENOMEM, -EIO). Nobody expected it. Always passed on to the caller.
 *   - positive: a condition that is part of the function's interface. Each header lists its own first, and the
 *     caller must handle it (or turn it into an errno with error_fold).
 *   - 0: done.
 *
 * Text for people is made at the edge. Where a library's own text must survive the way there (libgit2, a remote's
 * answer), it travels in a struct error beside the code. Outputs named ret_… are untouched on failure. */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* What went wrong, in words. Initialise with ERROR_NULL, free with error_deinit (or _cleanup_(error_deinit)). */
struct error {
	char *why;  /* one sentence without a full stop, or NULL */
	char *hint; /* what the person can do about it, or NULL */
};

#define ERROR_NULL ((struct error){ NULL, NULL })

void error_deinit(struct error *error);

/* Sets (replaces) the sentence. A NULL error is ignored. Returns `code`, so: return error_set(e, -EINVAL, "…"). */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Adds the hint. Returns nothing: call it between error_set and return. A NULL error is ignored. */
void error_hint(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "format: " before the sentence that is there. */
void error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence, or strerror of the code if none was set. Never NULL. */
const char *error_text(const struct error *error, int code);

/* A positive condition that the caller has no use for becomes -ENOTRECOVERABLE; everything else is passed on. */
static inline int error_fold(int r)
{
	return r > 0 ? -ENOTRECOVERABLE : r;
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hands a pointer over: returns it and leaves NULL behind. */
#define take(p)                                                                                              \
	({                                                                                                   \
		__typeof__(p) *take_p_ = &(p);                                                               \
		__typeof__(p) take_v_ = *take_p_;                                                            \
		*take_p_ = NULL;                                                                             \
		take_v_;                                                                                     \
	})

/* Hands a descriptor over: returns it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
	int v = *fd;
	*fd = -1;
	return v;
}

/* Declares `f_p`, a cleanup function for pointers of a type from its free function: DEFINE_CLEANUP(struct task *, task_free). */
#define DEFINE_CLEANUP(type, function)                                                                       \
	static inline void function##_p(type *p)                                                             \
	{                                                                                                    \
		if (*p)                                                                                      \
			function(*p);                                                                        \
	}

/* Our own mistakes, in production too. Never for what a peer, a file or a person sent. */
#define require(expression)                                                                                  \
	do {                                                                                                 \
		if (!(expression))                                                                           \
			require_failed(#expression, __FILE__, __LINE__);                                     \
	} while (0)
_Noreturn void require_failed(const char *expression, const char *file, int line);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
