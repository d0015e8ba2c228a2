#include "console/client/join.h"
#include "console/client/client.h"
#include "proto/base/id.h"
#include "proto/base/str.h"

#include <signal.h>
#include <string.h>
#include <systemd/sd-event.h>

struct joining {
	sd_event *event;
	struct link *link;
	struct link_dialer *dialer;
	struct link_token token;
	struct profile profile;
	bool done;
	int r;
	struct error error;
};

static void joining_deinit(struct joining *joining)
{
	if (joining->dialer)
		link_dialer_free(joining->dialer);
	if (joining->link)
		link_free(joining->link);
	sd_event_unref(joining->event);
	profile_deinit(&joining->profile);
	id_wipe(&joining->token, sizeof(joining->token));
	error_deinit(&joining->error);
}

static void on_ca(int r, const char *ca_pem, const char *why, void *userdata)
{
	struct joining *joining = userdata;

	joining->done = true;
	if (r) {
		joining->r = error_set(&joining->error, CLIENT_E_UNREACHABLE, "%s", str_or(why, strerror(r < 0 ? -r : EPROTO)));
		return;
	}
	joining->profile.ca_pem = strdup(ca_pem);
	joining->r = joining->profile.ca_pem ? 0 : -ENOMEM;
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	/* the handshake was all that was wanted */
}

static void on_peer_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
}

static const struct link_peer_ops peer_ops = { .message = on_peer_message, .closed = on_closed };

static void on_connected(struct link_peer *peer, const struct link_welcome *welcome, void *userdata)
{
	struct joining *joining = userdata;

	link_peer_set_ops(peer, &peer_ops, joining);
	joining->profile.role = welcome->role;
	joining->done = true;
}

static void on_failed(int code, const char *why, uint32_t retry_ms, void *userdata)
{
	struct joining *joining = userdata;

	joining->done = true;
	joining->r = error_set(&joining->error, code ? CLIENT_E_NOT_ALLOWED : CLIENT_E_UNREACHABLE, "%s", why);
}

static const struct link_dialer_ops dialer_ops = { .connected = on_connected, .failed = on_failed };

static int run_until_done(struct joining *joining)
{
	joining->done = false;
	while (!joining->done) {
		int r = sd_event_run(joining->event, UINT64_MAX);

		if (r < 0)
			return r;
	}
	return joining->r;
}

static int open_link(struct joining *joining, struct log *log)
{
	sigset_t all, old;
	int r = sd_event_new(&joining->event);

	if (r < 0)
		return r;
	sigfillset(&all); /* nng's threads must never be the ones that a signal finds */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = link_new(&joining->link, joining->event, log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error_fold(r);
}

static int enrol(struct joining *joining, const char *url)
{
	struct profile *profile = &joining->profile;
	struct link_dialer_config config = {
		.address = url,
		.ca_pem = profile->ca_pem,
		.secret_key = profile->key.secret_key,
		.join_secret = joining->token.secret,
		.join_secret_len = joining->token.secret_len,
		.role = joining->token.role,
		.name = profile->user,
		.once = true,
		.ops = &dialer_ops,
		.userdata = joining,
	};
	int r = link_dialer_new(&joining->dialer, joining->link, &config, &joining->error);

	return r ? error_fold(r) : run_until_done(joining);
}

static int join(struct joining *joining, const char *url, const char *token, struct log *log)
{
	struct profile *profile = &joining->profile;
	int r;

	r = link_token_parse(token, &joining->token, &joining->error);
	if (r)
		return CLIENT_E_USAGE;
	if (joining->token.role == MAESTRO__ROLE__ROLE_WORKER) {
		error_set(&joining->error, CLIENT_E_USAGE, "this token is for a worker");
		error_hint(&joining->error, "use it with 'maestro-worker join', or make one with 'maestro token create --role operator'");
		return CLIENT_E_USAGE;
	}
	profile->address = strdup(url);
	profile->user = profile_user();
	if (!profile->address || !profile->user)
		return -ENOMEM;
	key_generate(&profile->key);
	profile->has_key = true;
	r = open_link(joining, log);
	if (!r)
		r = link_fetch_ca(joining->link, url, joining->token.ca_digest, on_ca, joining, &joining->error);
	if (!r)
		r = run_until_done(joining);
	return r ? r : enrol(joining, url);
}

int join_coordinator(const char *url, const char *token, struct log *log, struct profile *ret_profile, struct error *error)
{
	_cleanup_(joining_deinit) struct joining joining = { .profile = PROFILE_NULL, .error = ERROR_NULL };
	int r = join(&joining, url, token, log);

	if (r) {
		error_deinit(error);
		*error = joining.error;
		joining.error = ERROR_NULL;
		return r;
	}
	*ret_profile = joining.profile;
	joining.profile = PROFILE_NULL;
	return 0;
}
