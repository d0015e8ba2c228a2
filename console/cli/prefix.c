#include "console/cli/prefix.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define KITTY_SHIFT 1u
#define KITTY_CONTROL 4u
#define KITTY_LOCKS (64u | 128u)
#define KITTY_RELEASE 3u

/* One key as the terminal sent it. */
struct key {
	uint8_t code;  /* what it would be in the old way; 0: no key that we could mean */
	bool release;  /* told of, but nothing was pressed */
	size_t len;
};

int prefix_parse(const char *text, uint8_t *ret_key)
{
	static const char *const forms[] = { "ctrl-", "c-", "^" };

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t len = strlen(forms[i]);
		int c;

		if (strncasecmp(text, forms[i], len) != 0 || strlen(text) != len + 1)
			continue;
		c = toupper((unsigned char)text[len]);
		if (c <= '@' || c > '_' || c == '[' || c == 'M' || c == 'J')
			return -EINVAL; /* Escape and Enter are too much else */
		*ret_key = (uint8_t)(c & 0x1f);
		return 0;
	}
	return -EINVAL;
}

const char *prefix_name(uint8_t key, char *buffer)
{
	snprintf(buffer, 8, "Ctrl-%c", tolower(key + '@'));
	return buffer;
}

static bool take_number(const uint8_t *keys, size_t len, size_t *at, unsigned int *ret_value)
{
	unsigned int value = 0;
	size_t begin = *at;

	while (*at < len && *at - begin < 6 && isdigit(keys[*at]))
		value = value * 10 + (keys[(*at)++] - '0');
	*ret_value = value;
	return *at > begin;
}

/* What it would be in the old way, 0: nothing that we could mean. */
static uint8_t code_of(unsigned int modifiers, unsigned int code)
{
	modifiers = (modifiers - 1) & ~KITTY_LOCKS;
	if (modifiers == KITTY_CONTROL && code >= '@' && code <= '~')
		return (uint8_t)(code & 0x1f);
	return (modifiers & ~KITTY_SHIFT) == 0 && code >= 0x20 && code < 0x7f ? (uint8_t)code : 0;
}

/* CSI code[:…] ; modifiers[:event] u */
static bool take_kitty(const uint8_t *keys, size_t len, struct key *ret_key)
{
	unsigned int code, modifiers = 1, event = 1;
	size_t at = 2;

	if (len < 4 || keys[0] != 0x1b || keys[1] != '[' || !take_number(keys, len, &at, &code))
		return false;
	while (at < len && (keys[at] == ':' || isdigit(keys[at])))
		at++;
	if (at < len && keys[at] == ';') {
		at++;
		if (!take_number(keys, len, &at, &modifiers) || !modifiers)
			return false;
		if (at < len && keys[at] == ':' && (at++, !take_number(keys, len, &at, &event)))
			return false;
		while (at < len && (keys[at] == ';' || keys[at] == ':' || isdigit(keys[at])))
			at++; /* the text it makes */
	}
	if (at >= len || keys[at] != 'u')
		return false;
	*ret_key = (struct key){ .len = at + 1, .release = event == KITTY_RELEASE, .code = code_of(modifiers, code) };
	return true;
}

/* modifyOtherKeys: CSI 27 ; modifiers ; code ~ */
static bool take_modified(const uint8_t *keys, size_t len, struct key *ret_key)
{
	static const char begin[] = "\033[27;";
	unsigned int code, modifiers;
	size_t at = sizeof(begin) - 1;

	if (len < at || memcmp(keys, begin, at) != 0 || !take_number(keys, len, &at, &modifiers) || !modifiers)
		return false;
	if (at >= len || keys[at++] != ';' || !take_number(keys, len, &at, &code) || at >= len || keys[at] != '~')
		return false;
	*ret_key = (struct key){ .len = at + 1, .code = code_of(modifiers, code) };
	return true;
}

static enum prefix_action command_of(const struct prefix *prefix, uint8_t code)
{
	switch (code) {
	case 'y':
		return prefix->asks ? PREFIX_YES : PREFIX_NONE;
	case 'n':
		return prefix->asks ? PREFIX_NO : PREFIX_NONE;
	case 'a':
		return prefix->asks ? PREFIX_ALWAYS : PREFIX_NONE;
	case 'd':
		return PREFIX_DETACH;
	case '[':
		return PREFIX_SCROLL;
	case 't':
		return PREFIX_TAKE_OVER;
	default:
		return PREFIX_NONE;
	}
}

static enum prefix_action after_prefix(struct prefix *prefix, const struct key *key, const uint8_t *keys, struct buf *out)
{
	enum prefix_action action = command_of(prefix, key->code);

	if (key->release || !key->code)
		return PREFIX_NONE; /* the prefix key itself coming up, or Shift going down */
	prefix->pressed = false;
	if (action != PREFIX_NONE)
		return action;
	buf_append_byte(out, prefix->key);
	if (key->code != prefix->key)
		buf_append(out, keys, key->len);
	return PREFIX_NONE;
}

enum prefix_action prefix_take(struct prefix *prefix, const uint8_t *keys, size_t len, size_t *ret_used, struct buf *out)
{
	enum prefix_action action = PREFIX_NONE;
	size_t at = 0;

	while (at < len && action == PREFIX_NONE) {
		struct key key;

		if (!take_kitty(keys + at, len - at, &key) && !take_modified(keys + at, len - at, &key))
			key = (struct key){ .code = keys[at], .len = 1 };
		if (prefix->pressed) {
			action = after_prefix(prefix, &key, keys + at, out);
		} else if (key.code == prefix->key) {
			if (!key.release) {
				prefix->pressed = true;
				action = PREFIX_PRESSED;
			}
		} else {
			buf_append(out, keys + at, key.len);
		}
		at += key.len;
	}
	*ret_used = at;
	return action;
}
