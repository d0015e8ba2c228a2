/* A subtransport carries bytes for libgit2's smart transport: it opens a connection for `ls` and keeps it for the
 * fetch or push that follows. libgit2 owns the subtransport and frees the stream before it. */
#include "worker/git/transport.h"

#include <git2/sys/transport.h>
#include <stdio.h>
#include <string.h>
#include "proto/base/str.h"
#include "worker/git/remote.h"
#include "worker/git/ssh.h"

struct transport {
	git_smart_subtransport base;
	struct stream *stream; /* NULL: none is open */
	struct remote *remote;
};

struct stream {
	git_smart_subtransport_stream base;
	struct transport *transport;
	struct ssh *ssh;
	bool spoke; /* a byte came */
};

/* Keeps the first failure: what comes after it is only its echo. */
static int fail(struct remote *remote, int r, struct error *error)
{
	if (!remote->condition) {
		remote->condition = r;
		remote->error = *error;
		*error = ERROR_NULL;
		git_error_set_str(GIT_ERROR_SSH, error_text(&remote->error, r));
	}
	return -1;
}

static const struct {
	const char *said;
	int code;
	const char *hint;
} refusals[] = {
	{ "does not appear to be a git repository", JOB_E_NOT_FOUND, "check the path in the URL" },
	{ "not found", JOB_E_NOT_FOUND, "check the path in the URL, and that this key may read it" },
	{ "does not exist", JOB_E_NOT_FOUND, "check the path in the URL" },
	{ "detected dubious ownership", JOB_E_REFUSED, "the repository there belongs to another user than the one that logs in" },
	{ "denied", JOB_E_AUTH, "this key may not do that on the server" },
	{ "not allowed", JOB_E_AUTH, "this key may not do that on the server" },
};

/* The command ended before it said a word of git: what it wrote to its standard error is the reason. */
static int early_end(struct stream *stream)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_(buf_deinit) struct buf clean = BUF_NULL;
	const char *said = ssh_said(stream->ssh);
	int r = JOB_E_UNREACHABLE;

	str_clean(&clean, said, strcspn(said, "\n"));
	error_set(&error, r, "%s: %s", stream->transport->remote->job->url.text,
		clean.len ? buf_text(&clean) : "the server ended the connection without a word");
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (strcasestr(said, refusals[i].said)) {
			r = refusals[i].code;
			error_hint(&error, "%s", refusals[i].hint);
			break;
		}
	return fail(stream->transport->remote, r, &error);
}

static int stream_read(git_smart_subtransport_stream *base, char *buffer, size_t size, size_t *ret_len)
{
	struct stream *stream = (struct stream *)base;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r = ssh_read(stream->ssh, buffer, size, ret_len, &error);

	if (r)
		return fail(stream->transport->remote, r, &error);
	if (!*ret_len && !stream->spoke)
		return early_end(stream);
	stream->spoke = true;
	return 0;
}

static int stream_write(git_smart_subtransport_stream *base, const char *data, size_t len)
{
	struct stream *stream = (struct stream *)base;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r = ssh_write(stream->ssh, data, len, &error);

	return r ? fail(stream->transport->remote, r, &error) : 0;
}

static void stream_free(git_smart_subtransport_stream *base)
{
	struct stream *stream = (struct stream *)base;

	stream->transport->stream = NULL;
	if (stream->ssh)
		ssh_free(stream->ssh);
	free(stream);
}

static int open_ssh(struct stream *stream, const char *program, struct error *error)
{
	const struct job *job = stream->transport->remote->job;
	const struct ssh_target target = {
		.host = job->url.host,
		.port = job->url.port,
		.user = job->url.user,
		.key = job->ssh_key,
		.known_hosts = job->known_hosts,
		.timeout_ms = job->timeout_ms,
	};
	_cleanup_(buf_deinit) struct buf command = BUF_NULL;
	int r;

	if (buf_printf(&command, "%s ", program) || ssh_quote(&command, job->url.path))
		return -ENOMEM;
	r = ssh_open(&stream->ssh, &target, error);
	return r ? r : ssh_exec(stream->ssh, buf_text(&command), error);
}

static int open_stream(struct transport *transport, const char *program, git_smart_subtransport_stream **out)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct stream *stream = calloc(1, sizeof(*stream));
	int r;

	if (!stream)
		return -1;
	stream->base = (git_smart_subtransport_stream){ &transport->base, stream_read, stream_write, stream_free };
	stream->transport = transport;
	r = open_ssh(stream, program, &error);
	if (r) {
		stream_free(&stream->base);
		return fail(transport->remote, r, &error);
	}
	transport->stream = stream;
	*out = &stream->base;
	return 0;
}

static int transport_action(git_smart_subtransport_stream **out, git_smart_subtransport *base, const char *url,
	git_smart_service_t action)
{
	struct transport *transport = (struct transport *)base;

	switch (action) {
	case GIT_SERVICE_UPLOADPACK_LS:
		return open_stream(transport, "git-upload-pack", out);
	case GIT_SERVICE_RECEIVEPACK_LS:
		return open_stream(transport, "git-receive-pack", out);
	case GIT_SERVICE_UPLOADPACK:
	case GIT_SERVICE_RECEIVEPACK:
		if (!transport->stream)
			return -1;
		*out = &transport->stream->base;
		return 0;
	}
	return -1;
}

static int transport_close(git_smart_subtransport *base)
{
	return 0;
}

static void transport_free(git_smart_subtransport *base)
{
	free(base);
}

static int subtransport_new(git_smart_subtransport **out, git_transport *owner, void *param)
{
	struct transport *transport = calloc(1, sizeof(*transport));

	if (!transport)
		return -1;
	transport->base = (git_smart_subtransport){ transport_action, transport_close, transport_free };
	transport->remote = param;
	*out = &transport->base;
	return 0;
}

int transport_ssh_new(git_transport **out, git_remote *owner, void *param)
{
	git_smart_subtransport_definition definition = { .callback = subtransport_new, .rpc = 0, .param = param };

	return git_transport_smart(out, owner, &definition);
}
