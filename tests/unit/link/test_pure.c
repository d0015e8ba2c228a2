/* Keys, certificates, tokens, addresses, queues and parts: what needs no connection. */
#include "tests/unit/link/harness.h"
#include "proto/base/io.h"
#include "proto/link/gate.h"
#include "proto/link/outbox.h"
#include "proto/wire/limit.h"
#include "proto/wire/message.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void test_keys(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct key key, again;
	char dir[] = "/tmp/maestro-key-XXXXXX", path[64], id[KEY_ID_MAX];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/key", dir);
	assert_int_equal(key_read(path, &again, &error), IO_E_NOT_FOUND);
	key_generate(&key);
	assert_int_equal(key_write(path, &key, &error), 0);
	assert_int_equal(key_read(path, &again, &error), 0);
	assert_memory_equal(&key, &again, sizeof(key));
	assert_int_equal(strlen(key_id(key.public_key, id)), 16);
	assert_int_equal(key_write(path, &key, &error), -EEXIST);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(key_read(path, &again, &error), -EPERM);
	assert_non_null(strstr(error.hint, "chmod"));
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(key_read(path, &again, &error), -EINVAL);
	key_wipe(&key);
	assert_int_equal(key.secret_key[0] | key.secret_key[31], 0);
	assert_int_equal(io_remove_tree(dir), 0);
}

/* The silent are shut out at once; who comes after peers that came through waits a moment, and only behind those. */
static void test_gate(void **state)
{
	static const uint8_t silent[GATE_HOST_BYTES] = { 1 }, many[GATE_HOST_BYTES] = { 2 }, other[GATE_HOST_BYTES] = { 3 };
	struct gate gate = { .max = 12, .max_per_host = 4 };

	for (int i = 0; i < 4; i++) {
		assert_int_equal(gate_ask(&gate, silent, 1000), GATE_OPEN);
		assert_true(gate_enter(&gate, silent) && gate_enter(&gate, many));
	}
	assert_int_equal(gate_ask(&gate, silent, 1000), GATE_SHUT);
	assert_int_equal(gate_ask(&gate, many, 1000), GATE_SHUT); /* nobody of them came through yet */
	gate_leave(&gate, many, true, 1000);
	assert_int_equal(gate_ask(&gate, many, 1001), GATE_OPEN);
	assert_true(gate_enter(&gate, many));
	assert_int_equal(gate_ask(&gate, many, 1002), GATE_WAIT);
	assert_int_equal(gate_ask(&gate, silent, 1002), GATE_SHUT);
	assert_int_equal(gate_ask(&gate, other, 1002), GATE_OPEN);
	assert_int_equal(gate_ask(&gate, many, 1000 + GATE_LULL_MS), GATE_SHUT);
	gate_leave(&gate, many, false, 5000); /* it was refused */
	assert_true(gate_enter(&gate, many));
	assert_int_equal(gate_ask(&gate, many, 5001), GATE_SHUT);
	for (int i = 0; i < 4; i++)
		assert_true(gate_enter(&gate, other));
	assert_int_equal(gate_ask(&gate, (const uint8_t[GATE_HOST_BYTES]){ 4 }, 5002), GATE_SHUT);
	for (int i = 0; i < 4; i++) {
		gate_leave(&gate, silent, false, 6000);
		gate_leave(&gate, many, true, 6000);
		gate_leave(&gate, other, true, 6000);
	}
	assert_null(gate.hosts);
	assert_int_equal(gate.inside, 0);
}

static void test_certificates(void **state)
{
	_cleanup_free_ char *ca = NULL, *ca_key = NULL, *server = NULL, *server_key = NULL, *again = NULL;
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	_cleanup_free_ void *der = NULL;
	size_t len;

	assert_int_equal(certificate_make(&ca, &ca_key, &server, &server_key, &error), 0);
	assert_int_equal(certificate_to_der(ca, &der, &len, &error), 0);
	assert_int_equal(certificate_to_pem(der, len, &again, &error), 0);
	assert_string_equal(ca, again);
	assert_non_null(strstr(ca_key, "PRIVATE KEY"));
	assert_string_not_equal(ca_key, server_key);
	assert_int_equal(certificate_to_der("nonsense", &der, &len, &error), -EINVAL);
	assert_int_equal(certificate_to_pem("nonsense", 8, &again, &error), -EINVAL);
}

static void test_tokens(void **state)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;
	struct link_token token = { .role = MAESTRO__ROLE__ROLE_WORKER, .secret_len = 32 }, again;
	_cleanup_free_ char *text = NULL;
	char with_newline[256], cut[256];
	static const char *const bad[] = { "", "mst1.", "mst1.worker", "mst1.worker.abc", "mst1.worker.abc.def", "mst2.worker.a.b",
		"mst1.king.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"mst1.worker.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.!!!!" };

	memset(token.ca_digest, 0xc1, sizeof(token.ca_digest));
	memset(token.secret, 0x7e, 32);
	text = link_token_format(&token);
	assert_non_null(text);
	assert_int_equal(strncmp(text, "mst1.worker.", 12), 0);
	snprintf(with_newline, sizeof(with_newline), "%s\n", text);
	assert_int_equal(link_token_parse(with_newline, &again, &error), 0);
	assert_int_equal(again.role, token.role);
	assert_int_equal(again.secret_len, 32);
	assert_memory_equal(again.secret, token.secret, 32);
	assert_memory_equal(again.ca_digest, token.ca_digest, LINK_DIGEST_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(link_token_parse(bad[i], &again, &error), -EINVAL);
	for (size_t n = 0; n + 22 < strlen(text); n++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)n, text);
		assert_int_equal(link_token_parse(cut, &again, &error), -EINVAL);
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *url;
	} cases[] = {
		{ "build.example", "tls+tcp://build.example:7717" },
		{ "build.example:99", "tls+tcp://build.example:99" },
		{ "192.0.2.7:1", "tls+tcp://192.0.2.7:1" },
		{ "[::1]", "tls+tcp://[::1]:7717" },
		{ "[2001:db8::1]:443", "tls+tcp://[2001:db8::1]:443" },
		{ "tls+tcp://host:5", "tls+tcp://host:5" },
		{ "ipc:///run/x.sock", "ipc:///run/x.sock" },
		{ "", NULL },
		{ ":7717", NULL },
		{ "host:", NULL },
		{ "host:65536", NULL },
		{ "host:-1", NULL },
		{ "a b", NULL },
		{ "-x", NULL },
		{ "[::1", NULL },
		{ "[::1]x", NULL },
		{ "::1", NULL },
		{ "ipc://relative", NULL },
		{ "http://host/", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_deinit) struct error error = ERROR_NULL;
		_cleanup_free_ char *url = NULL;
		int r = link_address_parse(cases[i].text, &url, &error);

		assert_int_equal(r, cases[i].url ? 0 : LINK_E_ADDRESS);
		if (cases[i].url)
			assert_string_equal(url, cases[i].url);
		else
			assert_non_null(error.hint);
	}
}

/* Cuts a message and puts it together again, byte for byte, whatever its length. */
static void test_parts(void **state)
{
	static const size_t lengths[] = { 0, 1, 65000, 65536, 65537, 200000, 1000000 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct link_parts parts = LINK_PARTS_NULL;
		struct link_outbox outbox;
		Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
		Maestro__Done done = MAESTRO__DONE__INIT;
		_cleanup_free_ uint8_t *text = calloc(1, lengths[i] + 1);
		bool whole = false, exempt;
		uint32_t payload;

		envelope.body_case = MAESTRO__ENVELOPE__BODY_DONE;
		envelope.done = &done;
		done.has_text = true;
		done.text = (ProtobufCBinaryData){ lengths[i], text };
		link_outbox_init(&outbox, 1 << 20);
		assert_false(link_outbox_peek(&outbox, &payload, &exempt));
		assert_int_equal(link_outbox_add(&outbox, &envelope), 0);
		while (link_outbox_peek(&outbox, &payload, &exempt)) {
			_cleanup_(buf_deinit) struct buf out = BUF_NULL;
			_cleanup_(message_deinit) struct message message = MESSAGE_NULL;
			const Maestro__Envelope *got;

			assert_int_equal(link_outbox_next(&outbox, CHANNEL_BULK, &out), 0);
			assert_int_equal(out.len, payload + FRAME_HEADER_BYTES);
			assert_in_range(out.len, 1, LIMIT_PART_BYTES);
			assert_false(whole);
			assert_int_equal(message_unpack(&maestro__envelope__descriptor, out.data + 5, payload, &message, NULL), 0);
			got = (const Maestro__Envelope *)message.base;
			if (got->body_case != MAESTRO__ENVELOPE__BODY_PART)
				break;
			assert_int_equal(link_parts_add(&parts, got->part, &whole), 0);
		}
		assert_int_equal(outbox.queued_bytes, 0);
		if (lengths[i] > 65536)
			assert_true(whole && parts.data.len > lengths[i]);
		buf_deinit(&parts.data);
		link_outbox_deinit(&outbox);
	}
}

static void test_hostile_parts(void **state)
{
	struct link_parts parts = LINK_PARTS_NULL;
	Maestro__Part part = MAESTRO__PART__INIT;
	uint8_t byte = 1;
	bool whole = false;

	part.data = (ProtobufCBinaryData){ 0, NULL };
	assert_int_equal(link_parts_add(&parts, &part, &whole), -EPROTO); /* empty ones could come for ever */
	part.data = (ProtobufCBinaryData){ 1, &byte };
	part.index = 1;
	assert_int_equal(link_parts_add(&parts, &part, &whole), -EPROTO);
	part.index = 0;
	assert_int_equal(link_parts_add(&parts, &part, &whole), 0);
	part.index = 2;
	assert_int_equal(link_parts_add(&parts, &part, &whole), -EPROTO);
	part.index = 1;
	part.message = 5;
	assert_int_equal(link_parts_add(&parts, &part, &whole), -EPROTO);
	assert_false(whole);
	buf_deinit(&parts.data);
}

static void test_outbox_cap(void **state)
{
	struct link_outbox outbox;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;
	uint8_t text[1000] = { 0 };

	envelope.body_case = MAESTRO__ENVELOPE__BODY_DONE;
	envelope.done = &done;
	done.has_text = true;
	done.text = (ProtobufCBinaryData){ sizeof(text), text };
	link_outbox_init(&outbox, 100);
	assert_int_equal(link_outbox_add(&outbox, &envelope), 0); /* one always fits */
	assert_false(outbox.was_full);
	assert_int_equal(link_outbox_add(&outbox, &envelope), LINK_E_FULL);
	assert_true(outbox.was_full);
	link_outbox_deinit(&outbox);
}

/* Packed once, it waits in several queues, and each sends all of it. */
static void test_shared(void **state)
{
	struct link_outbox outboxes[3];
	struct link_packed *packed = NULL;
	Maestro__Envelope envelope = MAESTRO__ENVELOPE__INIT;
	Maestro__Done done = MAESTRO__DONE__INIT;
	struct buf out = BUF_NULL;
	uint8_t text[1000] = { 7 };

	envelope.body_case = MAESTRO__ENVELOPE__BODY_DONE;
	envelope.done = &done;
	done.has_text = true;
	done.text = (ProtobufCBinaryData){ sizeof(text), text };
	assert_int_equal(link_packed_new(&packed, &envelope), 0);
	for (size_t i = 0; i < ARRAY_SIZE(outboxes); i++) {
		link_outbox_init(&outboxes[i], 1 << 20);
		assert_int_equal(link_outbox_add_packed(&outboxes[i], packed), 0);
	}
	link_packed_unref(packed);
	link_outbox_deinit(&outboxes[0]); /* a peer that went before its turn */
	for (size_t i = 1; i < ARRAY_SIZE(outboxes); i++) {
		buf_clear(&out);
		assert_int_equal(link_outbox_next(&outboxes[i], CHANNEL_CONTROL, &out), 0);
		assert_int_equal(out.len, FRAME_HEADER_BYTES + protobuf_c_message_get_packed_size(&envelope.base));
		assert_memory_equal(out.data + out.len - sizeof(text), text, sizeof(text));
		assert_int_equal(outboxes[i].queued_bytes, 0);
	}
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_hostile_parts),
		cmocka_unit_test(test_outbox_cap),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
