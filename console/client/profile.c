#include "console/client/profile.h"
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/base/io.h"
#include "proto/base/str.h"
#include "proto/wire/names.h"

#include <confuse.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define CA_LIMIT_BYTES 65536u

/* libconfuse reports through a callback without user data; one file is read at a time. */
static _Thread_local struct error *conf_error;

static void report_conf(cfg_t *cfg, const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	if (conf_error && !conf_error->why)
		error_set(conf_error, PROFILE_E_USAGE, "%s:%d: %s", cfg->filename ? cfg->filename : "client.conf",
			cfg->line, text);
}

static void conf_free(cfg_t *cfg)
{
	cfg_free(cfg);
}

DEFINE_CLEANUP(cfg_t *, conf_free)

/* client.conf: `profile = "NAME"` and for each `coordinator NAME { address = "…" role = "…" }`. No file: an empty one. */
static int read_conf(const struct paths *paths, cfg_t **ret_cfg, struct error *error)
{
	static cfg_opt_t coordinator[] = {
		CFG_STR("address", NULL, CFGF_NODEFAULT),
		CFG_STR("role", "operator", CFGF_NONE),
		CFG_END(),
	};
	static cfg_opt_t all[] = {
		CFG_STR("profile", NULL, CFGF_NODEFAULT),
		CFG_STR("clipboard", "ask", CFGF_NONE),
		CFG_SEC("coordinator", coordinator, CFGF_MULTI | CFGF_TITLE),
		CFG_END(),
	};
	_cleanup_free_ char *path = io_join(paths->config, "client.conf");
	_cleanup_(conf_free_p) cfg_t *cfg = cfg_init(all, CFGF_NONE);
	int r = CFG_SUCCESS;

	if (!path || !cfg)
		return -ENOMEM;
	cfg_set_error_function(cfg, report_conf);
	conf_error = error;
	if (access(path, F_OK) == 0)
		r = cfg_parse(cfg, path);
	conf_error = NULL;
	if (r == CFG_FILE_ERROR)
		return error_set(error, -EIO, "%s: cannot be read", path);
	if (r != CFG_SUCCESS)
		return PROFILE_E_USAGE;
	*ret_cfg = take(cfg);
	return 0;
}

/* The profile with this name or, if `address` is given, with that address. */
static cfg_t *find_section(cfg_t *cfg, const char *name, const char *address)
{
	cfg_t *found = NULL;

	for (unsigned int i = 0; i < cfg_size(cfg, "coordinator"); i++) {
		cfg_t *section = cfg_getnsec(cfg, "coordinator", i);
		const char *at = cfg_getstr(section, "address");

		/* the last one counts: a repeated join appends */
		if (name ? strcmp(cfg_title(section), name) == 0 : at && strcmp(at, address) == 0)
			found = section;
	}
	return found;
}

static char *key_path(const struct paths *paths, const char *name, const char *suffix)
{
	char *path = NULL;

	return asprintf(&path, "%s/keys/%s%s", paths->config, name, suffix) < 0 ? NULL : path;
}

static int load_remote(const struct paths *paths, cfg_t *section, struct profile *profile, struct error *error)
{
	const char *name = cfg_title(section);
	_cleanup_free_ char *key = key_path(paths, name, ".key"), *ca = key_path(paths, name, ".pem");
	Maestro__Role role = MAESTRO__ROLE__ROLE_OPERATOR;
	int r;

	profile->name = strdup(name);
	if (!key || !ca || !profile->name)
		return -ENOMEM;
	r = name_parse_role(cfg_getstr(section, "role"), &role, error);
	if (r) {
		error_prefix(error, "client.conf: coordinator %s", name);
		return PROFILE_E_USAGE;
	}
	profile->role = role;
	r = io_read_file(ca, CA_LIMIT_BYTES, &profile->ca_pem, NULL);
	if (r < 0)
		return error_set(error, r, "%s: %s", ca, strerror(-r));
	if (!r && profile->ca_pem) {
		_cleanup_free_ void *der = NULL;
		size_t len;

		r = certificate_to_der(profile->ca_pem, &der, &len, error);
		if (r) {
			error_prefix(error, "%s", ca);
			error_hint(error, "put back what was there, or: maestro join %s --profile %s", profile->address, name);
			return error_fold(r);
		}
	}
	if (!r)
		r = key_read(key, &profile->key, error);
	if (r == IO_E_NOT_FOUND) {
		error_set(error, r, "profile %s has no key on this machine", name);
		error_hint(error, "run 'maestro join %s --profile %s' with a new token", profile->address, name);
		return PROFILE_E_NOT_FOUND;
	}
	profile->has_key = !r;
	return r;
}

/* The admin key of our own coordinator, if we may read it. Nobody else's coordinator knows that key. */
static int load_local(const struct paths *paths, const char *own_url, struct profile *profile, struct error *error)
{
	_cleanup_free_ char *state = paths_coordinator_state(paths);
	_cleanup_free_ char *path = state ? io_join(state, "admin.key") : NULL;
	int r;

	profile->role = MAESTRO__ROLE__ROLE_OPERATOR;
	if (!path)
		return -ENOMEM;
	if (strcmp(profile->address, own_url) != 0 || access(path, R_OK) < 0)
		return 0;
	r = key_read(path, &profile->key, error);
	if (r == IO_E_NOT_FOUND)
		return 0;
	if (!r) {
		profile->has_key = true;
		profile->role = MAESTRO__ROLE__ROLE_ADMIN;
	}
	return r;
}

static int no_such_profile(cfg_t *cfg, const char *name, struct error *error)
{
	const char *names[64];
	size_t n = 0;

	for (unsigned int i = 0; i < cfg_size(cfg, "coordinator") && n < ARRAY_SIZE(names); i++)
		names[n++] = cfg_title(cfg_getnsec(cfg, "coordinator", i));
	error_set(error, PROFILE_E_NOT_FOUND, "client.conf has no profile '%s'", name);
	if (str_nearest(name, names, n))
		error_hint(error, "did you mean '%s'?", str_nearest(name, names, n));
	else
		error_hint(error, "'maestro join ADDRESS --profile %s' makes it", name);
	return PROFILE_E_NOT_FOUND;
}

/* Sets profile->address; *ret_section stays NULL for a local socket. */
static int resolve(cfg_t *cfg, const char *own_url, const char *coordinator, const char *name,
	struct profile *profile, cfg_t **ret_section, struct error *error)
{
	cfg_t *section = coordinator ? find_section(cfg, coordinator, NULL) : NULL;
	int r;

	if (coordinator && !section) {
		r = link_address_parse(coordinator, &profile->address, error);
		if (r) {
			error_prefix(error, "--coordinator");
			return r == -ENOMEM ? r : PROFILE_E_USAGE;
		}
		*ret_section = find_section(cfg, NULL, profile->address);
		return 0;
	}
	if (!section && !name)
		name = cfg_getstr(cfg, "profile");
	if (!section && name) {
		section = find_section(cfg, name, NULL);
		if (!section)
			return no_such_profile(cfg, name, error);
	}
	if (section && !cfg_getstr(section, "address"))
		return error_set(error, PROFILE_E_USAGE, "client.conf: coordinator %s has no address", cfg_title(section));
	*ret_section = section;
	if (section)
		return link_address_parse(cfg_getstr(section, "address"), &profile->address, error) ? PROFILE_E_USAGE : 0;
	profile->address = strdup(own_url);
	return profile->address ? 0 : -ENOMEM;
}

int profile_parse_clipboard(const char *text, enum profile_clipboard *ret_clipboard)
{
	static const char *const names[] = {
		[PROFILE_CLIPBOARD_ASK] = "ask",
		[PROFILE_CLIPBOARD_ALWAYS] = "always",
		[PROFILE_CLIPBOARD_NEVER] = "never",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*ret_clipboard = (enum profile_clipboard)i;
		return 0;
	}
	return PROFILE_E_USAGE;
}

static int load(const struct paths *paths, const char *coordinator, const char *name, struct profile *profile,
	struct error *error)
{
	_cleanup_(conf_free_p) cfg_t *cfg = NULL;
	_cleanup_free_ char *own_url = paths_coordinator_url(paths);
	cfg_t *section = NULL;
	int r;

	profile->user = profile_user();
	if (!own_url || !profile->user)
		return -ENOMEM;
	r = read_conf(paths, &cfg, error);
	if (r)
		return r;
	if (profile_parse_clipboard(cfg_getstr(cfg, "clipboard"), &profile->clipboard))
		return error_set(error, PROFILE_E_USAGE, "client.conf: clipboard is \"ask\", \"always\" or \"never\", not \"%s\"",
			cfg_getstr(cfg, "clipboard"));
	if (!coordinator && !name)
		coordinator = getenv("MAESTRO_COORDINATOR");
	r = resolve(cfg, own_url, coordinator && *coordinator ? coordinator : NULL, name, profile, &section, error);
	if (r)
		return r;
	if (profile_is_local(profile)) {
		r = paths_check_socket(profile->address + strlen("ipc://"), error);
		return r ? PROFILE_E_USAGE : load_local(paths, own_url, profile, error);
	}
	if (section)
		return load_remote(paths, section, profile, error);
	error_set(error, PROFILE_E_NOT_FOUND, "this machine has no key for %s", profile->address);
	error_hint(error, "run 'maestro join %s' with a token from 'maestro token create'",
		profile->address + strlen("tls+tcp://"));
	return PROFILE_E_NOT_FOUND;
}

int profile_load(const struct paths *paths, const char *coordinator, const char *name, struct profile *ret_profile,
	struct error *error)
{
	_cleanup_(profile_deinit) struct profile profile = PROFILE_NULL;
	int r = load(paths, coordinator, name, &profile, error);

	if (r)
		return r;
	*ret_profile = profile;
	profile = PROFILE_NULL;
	return 0;
}

void profile_deinit(struct profile *profile)
{
	free(profile->address);
	free(profile->name);
	free(profile->ca_pem);
	free(profile->user);
	key_wipe(&profile->key);
	*profile = PROFILE_NULL;
}

bool profile_is_local(const struct profile *profile)
{
	return str_starts(profile->address, "ipc://");
}

char *profile_user(void)
{
	const struct passwd *user = getpwuid(geteuid());
	char host[65] = "";
	char *text = NULL;

	if (gethostname(host, sizeof(host) - 1) < 0 || !*host)
		strcpy(host, "localhost");
	return asprintf(&text, "%s@%s", user ? user->pw_name : "nobody", host) < 0 ? NULL : text;
}

/* The file as it is, with the profile at its end: a later section of the same name counts, comments stay. */
static int append_conf(const struct paths *paths, const struct profile *profile, struct error *error)
{
	_cleanup_(conf_free_p) cfg_t *cfg = NULL;
	_cleanup_free_ char *path = io_join(paths->config, "client.conf"), *old = NULL;
	_cleanup_(buf_deinit) struct buf text = BUF_NULL;
	int r;

	if (!path)
		return -ENOMEM;
	r = read_conf(paths, &cfg, error);
	if (r)
		return r;
	r = io_read_file(path, 1u << 20, &old, NULL);
	if (r < 0)
		return error_set(error, r, "%s: %s", path, strerror(-r));
	if (!cfg_getstr(cfg, "profile"))
		buf_printf(&text, "profile = \"%s\"\n", profile->name);
	if (old && *old)
		buf_printf(&text, "%s%s", old, str_ends(old, "\n") ? "" : "\n");
	r = buf_printf(&text, "coordinator %s {\n\taddress = \"%s\"\n\trole = \"%s\"\n}\n", profile->name,
		profile->address, name_role(profile->role));
	return r ? r : io_replace_file(path, text.data, text.len, 0644);
}

int profile_save(const struct paths *paths, const struct profile *profile, struct error *error)
{
	_cleanup_free_ char *keys = io_join(paths->config, "keys");
	_cleanup_free_ char *key = key_path(paths, profile->name, ".key"), *ca = key_path(paths, profile->name, ".pem");
	int r;

	if (!keys || !key || !ca)
		return -ENOMEM;
	r = io_make_dirs(keys, 0700);
	if (!r && unlink(key) < 0 && errno != ENOENT)
		r = -errno;
	if (!r && profile->ca_pem)
		r = io_replace_file(ca, profile->ca_pem, strlen(profile->ca_pem), 0644);
	if (r)
		return error_set(error, r, "%s: %s", keys, strerror(-r));
	r = append_conf(paths, profile, error);
	return r ? r : key_write(key, &profile->key, error);
}
