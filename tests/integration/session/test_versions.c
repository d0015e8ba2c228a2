/* Two versions of the worker drive one holder: an older one, a newer one, one after the other and both at once; and a
 * holder that speaks none of ours is left alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/integration/session/fixture.h"
#include "proto/base/io.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"
#include "worker/session/socket.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define NEWER_BODY 4000u /* a message, and in others a field, that nobody has heard of yet */

/* A worker made of bytes, so that it can speak as ours does not. */
struct bare {
	int fd;
	struct message said;
	const Maestro__HolderMessage *message;
};

static void bare_connect(struct fixture *fixture, struct bare *bare)
{
	*bare = (struct bare){ .fd = -1, .said = MESSAGE_NULL };
	assert_int_equal(socket_connect(fixture->dir, &bare->fd), 0);
}

static void bare_close(struct bare *bare)
{
	message_deinit(&bare->said);
	close(bare->fd);
}

static void bare_send(struct bare *bare, const void *data, size_t len)
{
	assert_int_equal(send(bare->fd, data, len, MSG_NOSIGNAL), len);
}

/* The next message of this kind; others are passed over, as an older worker does. */
static const Maestro__HolderMessage *bare_await(struct bare *bare, Maestro__HolderMessage__BodyCase body)
{
	static uint8_t data[65536];
	struct pollfd ready = { .fd = bare->fd, .events = POLLIN };
	ssize_t n;

	do {
		assert_int_equal(poll(&ready, 1, (int)FIXTURE_DEADLINE_MS), 1);
		n = recv(bare->fd, data, sizeof(data), 0);
		assert_true(n > 0);
		message_deinit(&bare->said);
		assert_int_equal(message_unpack(&maestro__holder_message__descriptor, data, (size_t)n, &bare->said, NULL), 0);
		bare->message = (const Maestro__HolderMessage *)bare->said.base;
	} while (bare->message->body_case != body);
	return bare->message;
}

/* Appends a field of length `len` to a packed message. */
static size_t put_field(uint8_t *out, uint32_t number, const void *data, size_t len)
{
	uint32_t tag = number << 3 | 2;
	size_t at = 0;

	for (; tag >= 0x80; tag >>= 7)
		out[at++] = (uint8_t)(tag | 0x80);
	out[at++] = (uint8_t)tag;
	out[at++] = (uint8_t)len;
	memcpy(out + at, data, len);
	return at + len;
}

static void start(struct fixture *fixture)
{
	static const char *const argv[] = { "sh", "-c", "stty -echo; echo ready; while read -r line; do echo \"got $line\"; done", NULL };

	assert_int_equal(fixture_spawn(fixture, argv), 0);
	fixture_connect(fixture);
	fixture_wait(fixture, fixture_shows, "ready");
}

static void test_hello_tells_a_range(void **state)
{
	struct fixture *fixture = *state;
	struct bare bare;
	const Maestro__HolderMessage *message;

	start(fixture);
	bare_connect(fixture, &bare);
	message = bare_await(&bare, MAESTRO__HOLDER_MESSAGE__BODY_HELLO);
	assert_int_equal(message->hello->version_min, HOLDER_VERSION_MIN);
	assert_int_equal(message->hello->version_max, HOLDER_VERSION_MAX);
	assert_true(fixture->hello.counts);
	bare_close(&bare);
}

/* Version 1: input is bytes and nothing else, and what the holder says beyond it is passed over. */
static void test_older_worker(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t input[] = { 5 << 3 | 2, 6, 1 << 3 | 2, 4, 'o', 'l', 'd', '\n' };
	struct bare bare;

	start(fixture);
	bare_connect(fixture, &bare);
	bare_send(&bare, input, sizeof(input));
	fixture_wait(fixture, fixture_shows, "got old");
	assert_int_equal(holder_send_typed(fixture->holder, 7, 0, "new\n", 4, false), 0); /* and ours, beside it */
	fixture_wait(fixture, fixture_shows, "got new");
	bare_close(&bare);
}

static void test_newer_worker(void **state)
{
	struct fixture *fixture = *state;
	uint8_t inside[64], packet[64];
	struct bare bare;
	size_t len;

	start(fixture);
	bare_connect(fixture, &bare);
	len = put_field(packet, NEWER_BODY, "whatever", 8);
	bare_send(&bare, packet, len);
	assert_int_equal(bare_await(&bare, MAESTRO__HOLDER_MESSAGE__BODY_UNSUPPORTED)->unsupported->body, NEWER_BODY);
	len = put_field(inside, 1, "newer\n", 6); /* a known message with a field that is not */
	len += put_field(inside + len, NEWER_BODY, "field", 5);
	len = put_field(packet, 5, inside, len);
	bare_send(&bare, packet, len);
	fixture_wait(fixture, fixture_shows, "got newer");
	bare_close(&bare);
}

/* --- what is counted --- */

struct counted {
	struct holder_taken taken;
	unsigned int times;
	bool said_hello, closed;
	int r;
};

static void on_hello(void *userdata, const struct holder_hello *hello)
{
	((struct counted *)userdata)->said_hello = true;
}

static void on_taken(void *userdata, const struct holder_taken *taken)
{
	struct counted *counted = userdata;

	counted->taken = *taken;
	counted->times++;
}

static void on_closed(void *userdata, int r)
{
	struct counted *counted = userdata;

	counted->closed = true;
	counted->r = r;
}

static const struct holder_ops counted_ops = { .hello = on_hello, .taken = on_taken, .closed = on_closed };

static bool told(struct fixture *fixture, const void *what)
{
	const struct counted *counted = what;

	return counted->times > 0;
}

static void expect_taken(struct fixture *fixture, struct counted *counted, uint64_t source, uint64_t taken, bool gap)
{
	fixture_wait(fixture, told, counted);
	assert_int_equal(counted->taken.source, source);
	assert_int_equal(counted->taken.taken, taken);
	assert_int_equal(counted->taken.gap, gap);
	counted->times = 0;
}

/* Each worker dies after it has said something; the next one says it again. */
static void test_typed_once(void **state)
{
	struct fixture *fixture = *state;
	struct counted counted = { 0 };
	struct holder *worker;

	start(fixture);
	assert_int_equal(holder_connect(fixture->event, fixture->dir, &counted_ops, &counted, &worker), 0);
	assert_int_equal(holder_send_typed(worker, 7, 0, NULL, 0, true), 0);
	expect_taken(fixture, &counted, 7, 0, false);
	assert_int_equal(holder_send_typed(worker, 7, 0, "on", 2, true), 0);
	expect_taken(fixture, &counted, 7, 2, false);
	holder_free(worker);

	assert_int_equal(holder_connect(fixture->event, fixture->dir, &counted_ops, &counted, &worker), 0);
	assert_int_equal(holder_send_typed(worker, 7, 4, "lost", 4, false), 0); /* what is before it is not here yet */
	expect_taken(fixture, &counted, 7, 2, true);
	assert_int_equal(holder_send_typed(worker, 7, 0, "once\n", 5, true), 0);
	expect_taken(fixture, &counted, 7, 5, false);
	assert_int_equal(holder_send_typed(worker, 7, 0, "once\n", 5, true), 0);
	expect_taken(fixture, &counted, 7, 5, false);
	assert_int_equal(holder_send_typed(worker, 8, 100, "other\n", 6, true), 0); /* a source that was not seen yet */
	expect_taken(fixture, &counted, 8, 106, false);
	fixture_wait(fixture, fixture_shows, "ready\ngot once\ngot other\n");
	holder_free(worker);
}

static bool has_closed(struct fixture *fixture, const void *what)
{
	return ((const struct counted *)what)->closed;
}

static bool has_hello(struct fixture *fixture, const void *what)
{
	return ((const struct counted *)what)->said_hello;
}

/* The holder's place is taken by this test. */
static void say_hello(struct fixture *fixture, int listener, uint32_t version_min, uint32_t version_max)
{
	Maestro__HolderMessage message = MAESTRO__HOLDER_MESSAGE__INIT;
	Maestro__HolderHello hello = MAESTRO__HOLDER_HELLO__INIT;
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	_cleanup_(buf_deinit) struct buf packet = BUF_NULL;
	_cleanup_close_ int fd = -1;
	uint8_t id[32] = { 0 };

	hello.version_min = version_min;
	hello.version_max = version_max;
	hello.run_id = (ProtobufCBinaryData){ STATE_RUN_ID_BYTES, id };
	hello.has_boot_id = true;
	hello.boot_id = (ProtobufCBinaryData){ sizeof(((struct holder_id *)0)->boot_id) - 1, id };
	message.body_case = MAESTRO__HOLDER_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	assert_int_equal(message_pack(&message, &packet), 0);
	assert_int_equal(poll(&ready, 1, (int)FIXTURE_DEADLINE_MS), 1);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(send(fd, packet.data, packet.len, MSG_NOSIGNAL), packet.len);
}

static void test_other_holders(void **state)
{
	struct fixture *fixture = *state;
	const struct {
		uint32_t version_min, version_max;
		bool known;
	} cases[] = {
		{ 1, 1, true },
		{ HOLDER_VERSION_MAX, HOLDER_VERSION_MAX + 5, true },
		{ HOLDER_VERSION_MAX + 1, HOLDER_VERSION_MAX + 2, false },
		{ 0, HOLDER_VERSION_MIN - 1, false },
	};
	_cleanup_close_ int listener = -1;

	assert_int_equal(socket_listen(fixture->dir, &listener), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct counted counted = { 0 };
		struct holder *worker;

		assert_int_equal(holder_connect(fixture->event, fixture->dir, &counted_ops, &counted, &worker), 0);
		say_hello(fixture, listener, cases[i].version_min, cases[i].version_max);
		fixture_wait(fixture, cases[i].known ? has_hello : has_closed, &counted);
		if (!cases[i].known)
			assert_int_equal(counted.r, -EPROTONOSUPPORT);
		assert_int_equal(counted.said_hello, cases[i].known);
		holder_free(worker);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_hello_tells_a_range),
		TEST(test_older_worker),
		TEST(test_newer_worker),
		TEST(test_typed_once),
		TEST(test_other_holders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
