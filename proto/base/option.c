#include "proto/base/option.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/io.h"
#include "proto/base/str.h"

#include <confuse.h>
#include <inttypes.h>
#include <string.h>

static void *value_of(const struct option_spec *spec, void *values)
{
	return (char *)values + spec->offset;
}

static void clear_list(struct option_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct option_list){ NULL, 0 };
}

static int append_list(struct option_list *list, const char *text)
{
	char **items = realloc(list->items, (list->count + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count] = strdup(text);
	if (!items[list->count])
		return -ENOMEM;
	list->count++;
	return 0;
}

static int set_choice(const struct option_spec *spec, int *value, const char *text, struct error *error)
{
	_cleanup_(buf_deinit) struct buf all = BUF_NULL;

	for (int i = 0; spec->choices[i]; i++) {
		if (strcmp(spec->choices[i], text) == 0) {
			*value = i;
			return 0;
		}
		buf_printf(&all, "%s%s", i ? ", " : "", spec->choices[i]);
	}
	return error_set(error, OPTION_E_USAGE, "%s: '%s' is none of: %s", spec->name, text, buf_text(&all));
}

static int set_number(const struct option_spec *spec, uint64_t *value, const char *text, struct error *error)
{
	bool duration = spec->type == OPTION_DURATION;
	uint64_t v = 0;
	int r;

	r = duration ? clock_parse_duration(text, &v) : str_parse_u64(text, 0, UINT64_MAX, &v);
	if (r == -EINVAL)
		return error_set(error, OPTION_E_USAGE, "%s: '%s' is no %s", spec->name, text,
			duration ? "duration (write 90s, 15m, 2h or 1d)" : "whole number");
	if (r || v < spec->min || (spec->max && v > spec->max))
		return error_set(error, OPTION_E_USAGE,
			"%s: %s is out of range (%" PRIu64 " to %" PRIu64 "%s)", spec->name, text, spec->min,
			spec->max ? spec->max : UINT64_MAX, duration ? " ms" : "");
	*value = v;
	return 0;
}

static int set_value(const struct option_spec *spec, void *values, const char *text, struct error *error)
{
	void *value = value_of(spec, values);
	char *copy;

	switch (spec->type) {
	case OPTION_FLAG:
		*(bool *)value = strcmp(text, "true") == 0;
		return 0;
	case OPTION_STRING:
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		free(*(char **)value);
		*(char **)value = copy;
		return 0;
	case OPTION_LIST:
		return append_list(value, text);
	case OPTION_NUMBER:
	case OPTION_DURATION:
		return set_number(spec, value, text, error);
	case OPTION_CHOICE:
		return set_choice(spec, value, text, error);
	}
	return -ENOTRECOVERABLE;
}

int option_set_defaults(const struct option_table *table, void *values)
{
	_cleanup_(error_deinit) struct error error = ERROR_NULL;

	for (size_t i = 0; i < table->count; i++) {
		int r = table->specs[i].initial ?
			set_value(&table->specs[i], values, table->specs[i].initial, &error) : 0;

		require(r <= 0); /* a default that does not parse is our own mistake */
		if (r)
			return r;
	}
	return 0;
}

void option_values_deinit(const struct option_table *table, void *values)
{
	for (size_t i = 0; i < table->count; i++) {
		void *value = value_of(&table->specs[i], values);

		if (table->specs[i].type == OPTION_STRING) {
			free(*(char **)value);
			*(char **)value = NULL;
		} else if (table->specs[i].type == OPTION_LIST) {
			clear_list(value);
		}
	}
}

/* libconfuse reports through a callback without user data; one file is read at a time. */
static _Thread_local struct error *confuse_error;

static void confuse_report(cfg_t *cfg, const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	if (confuse_error && !confuse_error->why)
		error_set(confuse_error, OPTION_E_USAGE, "%s:%d: %s", cfg->filename ? cfg->filename : "?", cfg->line, text);
}

static int take_from_file(const struct option_table *table, void *values, cfg_t *cfg, struct error *error)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct option_spec *spec = &table->specs[i];
		unsigned int n = spec->in_file ? cfg_size(cfg, spec->name) : 0;

		if (n && spec->type == OPTION_LIST)
			clear_list(value_of(spec, values));
		for (unsigned int k = 0; k < n; k++) {
			int r;

			if (spec->type == OPTION_FLAG)
				r = set_value(spec, values, cfg_getnbool(cfg, spec->name, k) ? "true" : "false", error);
			else
				r = set_value(spec, values, cfg_getnstr(cfg, spec->name, k), error);
			if (r > 0)
				error_prefix(error, "%s", cfg->filename);
			if (r)
				return r;
		}
	}
	return 0;
}

/* libconfuse names an unknown key in its message; the nearest known one is the useful hint. */
static void hint_nearest(const struct option_table *table, struct error *error)
{
	const char *names[128];
	char word[64];
	const char *quote;
	size_t n = 0;

	if (!error || !error->why || !strstr(error->why, "no such option"))
		return;
	for (size_t i = 0; i < table->count && n < ARRAY_SIZE(names); i++)
		if (table->specs[i].in_file)
			names[n++] = table->specs[i].name;
	quote = strchr(error->why, '\'');
	if (!quote || sscanf(quote, "'%63[^']'", word) != 1)
		return;
	if (str_nearest(word, names, n))
		error_hint(error, "did you mean '%s'?", str_nearest(word, names, n));
	else
		error_hint(error, "%s --help lists the keys", table->program);
}

int option_read_file(const struct option_table *table, void *values, const char *path, bool needed, struct error *error)
{
	cfg_opt_t *opts;
	cfg_t *cfg;
	size_t n = 0;
	int r;

	if (access(path, F_OK) < 0) {
		if (errno != ENOENT || needed)
			return error_set(error, errno == ENOENT ? IO_E_NOT_FOUND : -errno, "%s: %m", path);
		return 0;
	}
	opts = calloc(table->count + 1, sizeof(*opts));
	if (!opts)
		return -ENOMEM;
	for (size_t i = 0; i < table->count; i++) {
		const struct option_spec *spec = &table->specs[i];

		if (!spec->in_file)
			continue;
		if (spec->type == OPTION_FLAG)
			opts[n++] = (cfg_opt_t)CFG_BOOL(spec->name, cfg_false, CFGF_NODEFAULT);
		else if (spec->type == OPTION_LIST)
			opts[n++] = (cfg_opt_t)CFG_STR_LIST(spec->name, NULL, CFGF_NODEFAULT);
		else
			opts[n++] = (cfg_opt_t)CFG_STR(spec->name, NULL, CFGF_NODEFAULT);
	}
	opts[n] = (cfg_opt_t)CFG_END();
	cfg = cfg_init(opts, CFGF_NONE);
	if (!cfg) {
		free(opts);
		return -ENOMEM;
	}
	cfg_set_error_function(cfg, confuse_report);
	confuse_error = error;
	r = cfg_parse(cfg, path);
	confuse_error = NULL;
	if (r == CFG_SUCCESS) {
		r = take_from_file(table, values, cfg, error);
	} else {
		r = r == CFG_FILE_ERROR ? error_set(error, -EIO, "%s: cannot be read", path) : OPTION_E_USAGE;
		hint_nearest(table, error);
	}
	cfg_free(cfg);
	free(opts);
	return r;
}

static const struct option_spec *find_long(const struct option_table *table, const char *name, size_t len)
{
	for (size_t i = 0; i < table->count; i++)
		if (!table->specs[i].file_only && strlen(table->specs[i].name) == len &&
			strncmp(table->specs[i].name, name, len) == 0)
			return &table->specs[i];
	return NULL;
}

static const struct option_spec *find_short(const struct option_table *table, char name)
{
	for (size_t i = 0; i < table->count; i++)
		if (!table->specs[i].file_only && table->specs[i].short_name == name)
			return &table->specs[i];
	return NULL;
}

static int unknown_option(const struct option_table *table, const char *word, struct error *error)
{
	const char *names[128];
	char clean[64];
	size_t n = 0;

	snprintf(clean, sizeof(clean), "%s", word + strspn(word, "-"));
	clean[strcspn(clean, "=")] = 0;
	for (size_t i = 0; i < table->count && n < ARRAY_SIZE(names); i++)
		if (!table->specs[i].file_only && table->specs[i].help)
			names[n++] = table->specs[i].name;
	error_set(error, OPTION_E_USAGE, "unknown option '%s'", word);
	if (str_nearest(clean, names, n))
		error_hint(error, "did you mean '--%s'?", str_nearest(clean, names, n));
	else
		error_hint(error, "see '%s --help'", table->program);
	return OPTION_E_USAGE;
}

static int parse_long(const struct option_table *table, void *values, const char *word, char **next, bool *ret_took,
	struct error *error)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_spec *spec = find_long(table, name, len);
	bool negated = false;

	if (!spec && len > 3 && strncmp(name, "no-", 3) == 0) {
		spec = find_long(table, name + 3, len - 3);
		negated = true;
	}
	if (!spec || (negated && spec->type != OPTION_FLAG))
		return unknown_option(table, word, error);
	if (spec->type == OPTION_FLAG) {
		if (equals)
			return error_set(error, OPTION_E_USAGE, "--%s takes no value", spec->name);
		return set_value(spec, values, negated ? "false" : "true", error);
	}
	if (!equals && !*next)
		return error_set(error, OPTION_E_USAGE, "--%s needs a value (%s)", spec->name, spec->arg);
	*ret_took = !equals;
	return set_value(spec, values, equals ? equals + 1 : *next, error);
}

static int parse_short(const struct option_table *table, void *values, const char *word, char **next, bool *ret_took,
	struct error *error)
{
	for (const char *p = word + 1; *p; p++) {
		const struct option_spec *spec = find_short(table, *p);
		int r;

		if (!spec)
			return unknown_option(table, word, error);
		if (spec->type == OPTION_FLAG) {
			r = set_value(spec, values, "true", error);
			if (r)
				return r;
			continue;
		}
		if (p[1])
			return set_value(spec, values, p + 1, error);
		if (!*next)
			return error_set(error, OPTION_E_USAGE, "-%c needs a value (%s)", *p, spec->arg);
		*ret_took = true;
		return set_value(spec, values, *next, error);
	}
	return 0;
}

int option_parse(const struct option_table *table, void *values, int argc, char **argv, bool stop_at_operand,
	char ***ret_operands, int *ret_count, struct error *error)
{
	int count = 0, i = 1;

	for (; i < argc; i++) {
		bool took = false;
		int r;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (stop_at_operand)
				break;
			argv[1 + count++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 || (strcmp(argv[i], "-h") == 0 && !find_short(table, 'h'))) {
			option_print_help(table, stdout);
			return OPTION_E_HELP;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", table->program, MAESTRO_VERSION);
			return OPTION_E_VERSION;
		}
		if (argv[i][1] == '-')
			r = parse_long(table, values, argv[i], &argv[i + 1], &took, error);
		else
			r = parse_short(table, values, argv[i], &argv[i + 1], &took, error);
		if (r)
			return r;
		i += took;
	}
	for (; i < argc; i++)
		argv[1 + count++] = argv[i];
	*ret_operands = argv + 1;
	*ret_count = count;
	return 0;
}

static void print_spec(const struct option_spec *spec, FILE *out)
{
	char left[64];
	int n;

	if (spec->short_name)
		n = snprintf(left, sizeof(left), "  -%c, --%s", spec->short_name, spec->name);
	else
		n = snprintf(left, sizeof(left), "      --%s", spec->name);
	if (spec->arg && n > 0 && (size_t)n < sizeof(left))
		snprintf(left + n, sizeof(left) - (size_t)n, " %s", spec->arg);
	fprintf(out, strlen(left) < 32 ? "%-32s" : "%s\n                                ", left);
	fputs(spec->help, out);
	if (spec->initial && spec->type != OPTION_FLAG && *spec->initial)
		fprintf(out, " [%s]", spec->initial);
	fputc('\n', out);
}

void option_print_help(const struct option_table *table, FILE *out)
{
	fprintf(out, "Usage: %s %s\n\n%s\n", table->program, table->usage, table->summary);
	if (table->count)
		fputs("\nOptions:\n", out);
	for (size_t i = 0; i < table->count; i++)
		if (table->specs[i].help && !table->specs[i].file_only)
			print_spec(&table->specs[i], out);
	fputs("  -h, --help                    show this help\n      --version                 show the version\n", out);
}

void option_print_sample(const struct option_table *table, FILE *out)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct option_spec *spec = &table->specs[i];

		if (!spec->in_file || !spec->help)
			continue;
		fprintf(out, "# %s\n", spec->help);
		if (spec->type == OPTION_LIST)
			fprintf(out, "#%s = {%s}\n\n", spec->name, spec->arg ? spec->arg : "");
		else if (spec->type == OPTION_FLAG)
			fprintf(out, "#%s = %s\n\n", spec->name, str_or(spec->initial, "false"));
		else
			fprintf(out, "#%s = \"%s\"\n\n", spec->name, str_or(spec->initial, ""));
	}
}
