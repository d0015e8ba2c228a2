/* libssh2's own reader stops at the first line that it does not like and takes '@revoked' for a host, so lines are fed
 * to it one by one. Its check falls back from "[host]:port" to "host"; here the exact name is asked only, as OpenSSH does. */
#include "worker/git/hosts.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "worker/git/job.h"

#define KNOWN_HOSTS_BYTES_MAX (4u * 1024 * 1024)
#define SYSTEM_KNOWN_HOSTS "/etc/ssh/ssh_known_hosts"

static const struct {
	int known; /* LIBSSH2_KNOWNHOST_KEY_… */
	int key;   /* LIBSSH2_HOSTKEY_TYPE_… */
	const char *method, *label;
} kinds[] = {
	{ LIBSSH2_KNOWNHOST_KEY_ED25519, LIBSSH2_HOSTKEY_TYPE_ED25519, "ssh-ed25519", "ED25519" },
	{ LIBSSH2_KNOWNHOST_KEY_ECDSA_256, LIBSSH2_HOSTKEY_TYPE_ECDSA_256, "ecdsa-sha2-nistp256", "ECDSA" },
	{ LIBSSH2_KNOWNHOST_KEY_ECDSA_384, LIBSSH2_HOSTKEY_TYPE_ECDSA_384, "ecdsa-sha2-nistp384", "ECDSA" },
	{ LIBSSH2_KNOWNHOST_KEY_ECDSA_521, LIBSSH2_HOSTKEY_TYPE_ECDSA_521, "ecdsa-sha2-nistp521", "ECDSA" },
	{ LIBSSH2_KNOWNHOST_KEY_SSHRSA, LIBSSH2_HOSTKEY_TYPE_RSA, "ssh-rsa", "RSA" },
};

static int read_lines(struct hosts *hosts, const char *path)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_(buf_deinit) struct buf revoked = BUF_NULL;
	int r = io_read_file(path, KNOWN_HOSTS_BYTES_MAX, &text, NULL);
	char *save = NULL;

	if (r)
		return r == IO_E_NOT_FOUND ? 0 : r;
	if (hosts->revoked && buf_append_str(&revoked, hosts->revoked))
		return -ENOMEM;
	for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		if (str_starts(line, "@revoked") && buf_printf(&revoked, "%s \n", line))
			return -ENOMEM;
		if (line[0] != '@' && line[0] != '#')
			libssh2_knownhost_readline(hosts->known, line, strlen(line), LIBSSH2_KNOWNHOST_FILE_OPENSSH);
	}
	free(hosts->revoked);
	hosts->revoked = buf_take(&revoked);
	return hosts->revoked ? 0 : -ENOMEM;
}

static int read_files(struct hosts *hosts, const char *path, struct error *error)
{
	const char *home = getenv("HOME");
	int r;

	if (path)
		hosts->path = strdup(path);
	else
		hosts->path = io_join(str_or(home, "/"), ".ssh/known_hosts");
	if (!hosts->path)
		return -ENOMEM;
	r = read_lines(hosts, hosts->path);
	if (!r && !path)
		r = read_lines(hosts, SYSTEM_KNOWN_HOSTS);
	return r ? error_set(error, JOB_E_UNREACHABLE, "%s cannot be read: %s", hosts->path, strerror(r < 0 ? -r : EIO)) : 0;
}

int hosts_init(struct hosts *hosts, LIBSSH2_SESSION *session, const char *host, uint16_t port, const char *path,
	struct error *error)
{
	*hosts = (struct hosts){ .known = libssh2_knownhost_init(session) };
	if (!hosts->known)
		return -ENOMEM;
	if (port == 22)
		hosts->name = strdup(host);
	else if (asprintf(&hosts->name, "[%s]:%u", host, port) < 0)
		hosts->name = NULL;
	return hosts->name ? read_files(hosts, path, error) : -ENOMEM;
}

void hosts_deinit(struct hosts *hosts)
{
	if (hosts->known)
		libssh2_knownhost_free(hosts->known);
	free(hosts->name);
	free(hosts->path);
	free(hosts->revoked);
	*hosts = (struct hosts){ NULL, NULL, NULL, NULL };
}

/* The check compares kind and name before the key itself, so a key that cannot be tells whether there is one. */
static bool is_known(struct hosts *hosts, int kind)
{
	int r = libssh2_knownhost_check(hosts->known, hosts->name, "AAAA", 4,
		LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_BASE64 | kind, NULL);

	return r == LIBSSH2_KNOWNHOST_CHECK_MISMATCH || r == LIBSSH2_KNOWNHOST_CHECK_MATCH;
}

void hosts_prefer(struct hosts *hosts, LIBSSH2_SESSION *session)
{
	char methods[256] = "";
	size_t used = 0;

	for (int known = 1; known >= 0; known--)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (is_known(hosts, kinds[i].known) == (known == 1))
				used += (size_t)snprintf(methods + used, sizeof(methods) - used, "%s%s", used ? "," : "",
					kinds[i].method);
	libssh2_session_method_pref(session, LIBSSH2_METHOD_HOSTKEY, methods);
}

/* The fingerprint as OpenSSH prints it: base64 without padding. */
static void fingerprint(LIBSSH2_SESSION *session, char text[ID_BASE64_MAX(ID_DIGEST_BYTES)])
{
	const char *digest = libssh2_hostkey_hash(session, LIBSSH2_HOSTKEY_HASH_SHA256);

	text[0] = 0;
	if (digest)
		id_base64url(digest, ID_DIGEST_BYTES, text);
	for (char *p = text; *p; p++)
		*p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
}

static bool is_revoked(struct hosts *hosts, const char *key, size_t len)
{
	char text[ID_BASE64_MAX(4096)];

	if (!hosts->revoked || len > 4096)
		return false;
	id_base64url(key, len, text);
	for (char *p = text; *p; p++)
		*p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
	return strstr(hosts->revoked, text);
}

static int report(struct hosts *hosts, LIBSSH2_SESSION *session, int kind, bool changed, const char *host, uint16_t port,
	struct error *error)
{
	char print[ID_BASE64_MAX(ID_DIGEST_BYTES)];
	const char *label = kind >= 0 ? kinds[kind].label : "unknown kind";
	int r;

	fingerprint(session, print);
	if (changed) {
		r = error_set(error, JOB_E_UNREACHABLE, "the key of %s CHANGED: it is now %s SHA256:%s, not the one in %s",
			hosts->name, label, print, hosts->path);
		error_hint(error, "somebody may be in between; if the host really has a new key, remove the old one with "
			"`ssh-keygen -R '%s' -f %s` and add the new one", hosts->name, hosts->path);
		return r;
	}
	r = error_set(error, JOB_E_UNREACHABLE, "the key of %s is not known: it is %s SHA256:%s", hosts->name, label, print);
	error_hint(error, "compare the fingerprint, then add it: `ssh-keyscan -p %u %s >> %s`", port, host, hosts->path);
	return r;
}

int hosts_check(struct hosts *hosts, LIBSSH2_SESSION *session, const char *host, uint16_t port, struct error *error)
{
	size_t len;
	int type, kind = -1, r;
	const char *key = libssh2_session_hostkey(session, &len, &type);
	bool other = false;

	if (!key)
		return error_set(error, JOB_E_UNREACHABLE, "%s showed no host key", hosts->name);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].key == type)
			kind = (int)i;
		other = other || is_known(hosts, kinds[i].known);
	}
	if (is_revoked(hosts, key, len))
		return error_set(error, JOB_E_UNREACHABLE, "the key of %s is marked as revoked in known_hosts", hosts->name);
	if (kind < 0)
		return report(hosts, session, kind, other, host, port, error);
	r = libssh2_knownhost_check(hosts->known, hosts->name, key, len,
		LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | kinds[kind].known, NULL);
	if (r == LIBSSH2_KNOWNHOST_CHECK_MATCH)
		return 0;
	return report(hosts, session, kind, r == LIBSSH2_KNOWNHOST_CHECK_MISMATCH || other, host, port, error);
}
