/* Ed25519 keys in files. See keys.h. */
#include "proto/link/keys.h"
#include "proto/base/id.h"
#include "proto/base/io.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#define SEED_BYTES 32u

void key_generate(struct key *ret_key)
{
	require(id_init() == 0);
	crypto_sign_keypair(ret_key->public_key, ret_key->secret_key);
}

/* The file is opened once, so that what was checked is what is read. */
static int read_private(const char *path, char text[SEED_BYTES * 2 + 1], struct error *error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return error_set(error, IO_E_NOT_FOUND, "%s: no such key", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077)) {
		error_set(error, -EPERM, "%s: others may read or write this key (mode %04o)", path, st.st_mode & 07777);
		error_hint(error, "chmod 600 %s, or make a new key if somebody may have seen it", path);
		return -EPERM;
	}
	if (io_read_all(fd, text, SEED_BYTES * 2))
		return error_set(error, -EINVAL, "%s: not a key", path);
	text[SEED_BYTES * 2] = 0;
	return 0;
}

int key_read(const char *path, struct key *ret_key, struct error *error)
{
	char text[SEED_BYTES * 2 + 1];
	uint8_t seed[SEED_BYTES];
	int r;

	r = id_init();
	if (!r)
		r = read_private(path, text, error);
	if (r)
		return r;
	r = id_unhex(text, seed, sizeof(seed));
	id_wipe(text, sizeof(text));
	if (r)
		return error_set(error, -EINVAL, "%s: not a key", path);
	crypto_sign_seed_keypair(ret_key->public_key, ret_key->secret_key, seed);
	id_wipe(seed, sizeof(seed));
	return 0;
}

int key_write(const char *path, const struct key *key, struct error *error)
{
	char text[ID_HEX_MAX(SEED_BYTES) + 1];
	uint8_t seed[SEED_BYTES];
	int r;

	crypto_sign_ed25519_sk_to_seed(seed, key->secret_key);
	id_hex(seed, sizeof(seed), text);
	strcat(text, "\n");
	r = io_create_file(path, text, SEED_BYTES * 2 + 1, 0600);
	id_wipe(seed, sizeof(seed));
	id_wipe(text, sizeof(text));
	if (r == -EEXIST)
		return error_set(error, r, "%s: there is a key already", path);
	return r ? error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

void key_wipe(struct key *key)
{
	id_wipe(key, sizeof(*key));
}

char *key_id(const uint8_t public_key[LINK_KEY_BYTES], char id[KEY_ID_MAX])
{
	return id_hex(public_key, (KEY_ID_MAX - 1) / 2, id);
}
