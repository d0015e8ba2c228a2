/* What `maestro-coordinator init` makes: everything that a lost disk would take with it, in one directory (0700). */
#include "coordinator/service/internal.h"
#include "proto/base/io.h"
#include "proto/link/keys.h"

#include <string.h>
#include <unistd.h>

int service_files_init(struct service_files *files, const char *state)
{
	*files = (struct service_files){
		.cluster = io_join(state, "cluster"),
		.ca = io_join(state, "ca.pem"),
		.ca_key = io_join(state, "ca.key"),
		.server = io_join(state, "server.pem"),
		.server_key = io_join(state, "server.key"),
		.admin = io_join(state, "admin.key"),
		.database = io_join(state, "coordinator.db"),
	};
	if (files->cluster && files->ca && files->ca_key && files->server && files->server_key && files->admin &&
		files->database)
		return 0;
	service_files_deinit(files);
	return -ENOMEM;
}

void service_files_deinit(struct service_files *files)
{
	free(files->cluster);
	free(files->ca);
	free(files->ca_key);
	free(files->server);
	free(files->server_key);
	free(files->admin);
	free(files->database);
	*files = (struct service_files){ 0 };
}

static int make_cluster(const struct service_files *files, struct error *error)
{
	uint8_t id[LINK_CLUSTER_BYTES];
	char text[ID_HEX_MAX(LINK_CLUSTER_BYTES) + 1];
	int r;

	id_random(id, sizeof(id));
	id_hex(id, sizeof(id), text);
	strcat(text, "\n");
	r = io_replace_file(files->cluster, text, strlen(text), 0600);
	return r ? error_set(error, r, "%s: %s", files->cluster, strerror(-r)) : 0;
}

static int write_pem(const char *path, const char *pem, struct error *error)
{
	int r;

	r = io_replace_file(path, pem, strlen(pem), 0600);
	return r ? error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

/* The CA last: whoever finds it finds all. */
static int make_certificates(const struct service_files *files, struct error *error)
{
	_cleanup_free_ char *ca = NULL, *ca_key = NULL, *server = NULL, *server_key = NULL;
	int r;

	r = certificate_make(&ca, &ca_key, &server, &server_key, error);
	if (!r)
		r = write_pem(files->ca_key, ca_key, error);
	if (!r)
		r = write_pem(files->server_key, server_key, error);
	if (!r)
		r = write_pem(files->server, server, error);
	if (!r)
		r = write_pem(files->ca, ca, error);
	if (ca_key)
		id_wipe(ca_key, strlen(ca_key));
	if (server_key)
		id_wipe(server_key, strlen(server_key));
	return r;
}

static int make_admin(const struct service_files *files, struct error *error)
{
	struct key key;
	int r;

	key_generate(&key);
	r = key_write(files->admin, &key, error);
	key_wipe(&key);
	return r;
}

static bool is_missing(const char *path)
{
	return access(path, F_OK) != 0;
}

int service_init(const char *state, bool *ret_made, struct error *error)
{
	_cleanup_(service_files_deinit) struct service_files files = { 0 };
	_cleanup_(store_free_p) struct store *store = NULL;
	bool made;
	int r;

	r = service_files_init(&files, state);
	if (r)
		return r;
	r = io_make_dirs(state, 0700);
	if (r)
		return error_set(error, r, "%s: %s", state, strerror(-r));
	made = is_missing(files.cluster) || is_missing(files.ca) || is_missing(files.admin) || is_missing(files.database);
	if (is_missing(files.cluster))
		r = make_cluster(&files, error);
	if (!r && is_missing(files.ca))
		r = make_certificates(&files, error);
	if (!r && is_missing(files.admin))
		r = make_admin(&files, error);
	if (!r)
		r = store_open(&store, files.database, error);
	if (!r && ret_made)
		*ret_made = made;
	return r;
}
