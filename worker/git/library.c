#include "worker/git/library.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/str.h"
#include "proto/wire/message.h"
#include "proto/wire/names.h"

#define AUTHOR_NAME "Maestro"
#define AUTHOR_EMAIL "maestro@localhost"

static const int config_levels[] = {
	GIT_CONFIG_LEVEL_PROGRAMDATA,
	GIT_CONFIG_LEVEL_SYSTEM,
	GIT_CONFIG_LEVEL_XDG,
	GIT_CONFIG_LEVEL_GLOBAL,
};

int library_init(struct error *error)
{
	int r = git_libgit2_init();

	if (r < 0)
		return library_error(error, r, "libgit2 does not start");
	for (size_t i = 0; i < ARRAY_SIZE(config_levels); i++) {
		r = git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, config_levels[i], "");
		if (r < 0)
			return library_error(error, r, "libgit2 keeps its configuration");
	}
	return 0;
}

void library_deinit(void)
{
	git_libgit2_shutdown();
}

static const struct {
	int from, to;
	const char *hint;
} codes[] = {
	{ GIT_ENOTFOUND, JOB_E_NOT_FOUND, NULL },
	{ GIT_EEXISTS, JOB_E_CONFLICT, NULL },
	{ GIT_ENONFASTFORWARD, JOB_E_CONFLICT, NULL },
	{ GIT_ECONFLICT, JOB_E_CONFLICT, NULL },
	{ GIT_EMERGECONFLICT, JOB_E_CONFLICT, NULL },
	{ GIT_EMODIFIED, JOB_E_CONFLICT, NULL },
	{ GIT_EINVALIDSPEC, JOB_E_BAD_REQUEST, NULL },
	{ GIT_EAUTH, JOB_E_AUTH, NULL },
	{ GIT_ECERTIFICATE, JOB_E_UNREACHABLE, NULL },
	{ GIT_ELOCKED, JOB_E_FAILED, "another git is at work in that repository; try again when it has ended" },
	{ GIT_EOWNER, JOB_E_REFUSED, "the repository belongs to another user: run the worker as that user, or change its owner" },
};

static bool is_no_space(const char *text)
{
	return strstr(text, "No space left") || strstr(text, "Disk quota exceeded");
}

static int library_code(int r, const char *text, struct error *error)
{
	if (is_no_space(text)) {
		error_hint(error, "free some space on the worker's disk and try again");
		return JOB_E_NO_SPACE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].from == r) {
			if (codes[i].hint)
				error_hint(error, "%s", codes[i].hint);
			return codes[i].to;
		}
	return JOB_E_FAILED;
}

int library_error(struct error *error, int r, const char *format, ...)
{
	const git_error *last = git_error_last();
	_cleanup_free_ char *said = strdup(last && last->message ? last->message : "no reason given");
	_cleanup_free_ char *what = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	if (!said || !what)
		return -ENOMEM;
	error_set(error, JOB_E_FAILED, "%s: %s", what, said);
	return library_code(r, said, error);
}

const char *library_hex(const git_oid *id, char *hex)
{
	return git_oid_tostr(hex, GIT_OID_HEXSZ + 1, id);
}

int library_oid(const char *hex, git_oid *ret_id, struct error *error)
{
	if (!hex || !name_commit_valid(hex) || git_oid_fromstr(ret_id, hex) < 0)
		return error_set(error, JOB_E_BAD_REQUEST, "'%s' is not the name of a commit", str_or(hex, ""));
	return 0;
}

/* libgit2 refuses empty names and cuts odd bytes; what is left of nothing is the fixed one. */
static char *author_part(const ProtobufCBinaryData *data, bool has, const char *otherwise)
{
	_cleanup_free_ char *text = has ? bytes_dup(data) : NULL;

	for (char *p = text; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == '<' || *p == '>')
			*p = ' ';
	return text && strspn(text, " ") < strlen(text) ? take(text) : strdup(otherwise);
}

int library_signature(const Maestro__GitAuthor *author, git_signature **ret_signature, struct error *error)
{
	_cleanup_free_ char *name = author_part(author ? &author->name : NULL, author && author->has_name, AUTHOR_NAME);
	_cleanup_free_ char *email = author_part(author ? &author->email : NULL, author && author->has_email, AUTHOR_EMAIL);
	int r;

	if (!name || !email)
		return -ENOMEM;
	r = git_signature_now(ret_signature, name, email);
	return r < 0 ? library_error(error, r, "the author's name cannot be used") : 0;
}
