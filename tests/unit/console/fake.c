#include "tests/unit/console/fake.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/io.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void on_message(struct link_peer *peer, enum channel channel, const Maestro__Envelope *envelope, void *userdata)
{
	struct fake *fake = userdata;
	Maestro__Envelope reply = MAESTRO__ENVELOPE__INIT;

	if (fake->last)
		maestro__envelope__free_unpacked(fake->last, NULL);
	fake->last = message_copy(envelope);
	fake->asked++;
	if (fake->drop) {
		fake->drop--;
		link_peer_close(peer, "the test cuts it", 0);
		return;
	}
	if (fake->answer)
		fake->answer(fake, envelope, &reply);
	if (!reply.body_case)
		return;
	reply.has_reply_to = true;
	reply.reply_to = envelope->request;
	assert_int_equal(link_peer_send(peer, CHANNEL_CONTROL, &reply), 0);
}

static void on_closed(struct link_peer *peer, const char *why, void *userdata)
{
	struct fake *fake = userdata;

	if (fake->peer == peer)
		fake->peer = NULL;
}

static const struct link_peer_ops peer_ops = { .message = on_message, .closed = on_closed };

static int on_authenticate(const struct link_identity *claim, struct link_grant *ret_grant, struct error *error, void *userdata)
{
	*ret_grant = (struct link_grant){ .role = MAESTRO__ROLE__ROLE_OPERATOR, .epoch = 1, .heartbeat_ms = 5000 };
	return 0;
}

static int on_enroll(const struct link_identity *claim, const void *secret, size_t len, struct link_grant *ret_grant,
	struct error *error, void *userdata)
{
	return MAESTRO__REFUSED_CODE__REFUSED_TOKEN;
}

static void on_accepted(struct link_peer *peer, void *userdata)
{
	struct fake *fake = userdata;

	fake->peer = peer;
	fake->accepted++;
	link_peer_set_ops(peer, &peer_ops, fake);
}

static const struct link_listener_ops listener_ops = {
	.authenticate = on_authenticate, .enroll = on_enroll, .accepted = on_accepted,
};

void fake_listen(struct fake *fake)
{
	struct link_listener_config config = { .address = fake->address, .ops = &listener_ops, .userdata = fake };
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	int r = link_listener_new(&fake->listener, fake->link, &config, &error);

	if (r)
		fail_msg("the fake does not listen: %s", error_text(&error, r));
}

void fake_start(struct fake *fake)
{
	sigset_t all, old;

	*fake = (struct fake){ .directory = "/tmp/maestro-console-XXXXXX", .profile = PROFILE_NULL };
	assert_int_equal(id_init(), 0);
	assert_non_null(mkdtemp(fake->directory));
	assert_true(asprintf(&fake->address, "ipc://%s/coordinator.sock", fake->directory) > 0);
	assert_true(sd_event_new(&fake->event) >= 0);
	log_init(&fake->log, "fake", STDERR_FILENO, LOG_LEVEL_ERROR);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	assert_int_equal(link_new(&fake->link, fake->event, &fake->log), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	fake_listen(fake);
	fake->profile.address = strdup(fake->address);
	fake->profile.user = strdup("test@here");
	fake->profile.role = MAESTRO__ROLE__ROLE_OPERATOR;
}

void fake_cut(struct fake *fake)
{
	link_listener_free(take(fake->listener));
	if (fake->peer)
		link_peer_close(fake->peer, "the test cuts it", 0);
}

void fake_stop(struct fake *fake)
{
	if (fake->listener)
		link_listener_free(fake->listener);
	link_free(fake->link);
	if (fake->last)
		maestro__envelope__free_unpacked(fake->last, NULL);
	profile_deinit(&fake->profile);
	sd_event_unref(fake->event);
	io_remove_tree(fake->directory);
	free(fake->address);
}

void fake_send(struct fake *fake, Maestro__Envelope *envelope)
{
	assert_non_null(fake->peer);
	assert_int_equal(link_peer_send(fake->peer, CHANNEL_CONTROL, envelope), 0);
}

void fake_run_until(struct fake *fake, const unsigned int *flag, unsigned int value)
{
	uint64_t until_ms = clock_boottime_ms() + 10000;

	while (*flag < value) {
		uint64_t now_ms = clock_boottime_ms();

		if (now_ms >= until_ms)
			fail_msg("waited 10 s in vain (%u of %u)", *flag, value);
		assert_true(sd_event_run(fake->event, (until_ms - now_ms) * 1000) >= 0);
	}
}
