/* Completions and the manual page, from the tables. */
#include "console/cli/command.h"

#include <stdio.h>
#include <string.h>

static bool first_of(size_t index, size_t len)
{
	for (size_t i = 0; i < index; i++)
		if (strncmp(commands[i]->name, commands[index]->name, len) == 0 &&
			(!commands[i]->name[len] || commands[i]->name[len] == ' '))
			return false;
	return true;
}

static void put_first_words(FILE *out)
{
	for (size_t i = 0; i < commands_count; i++) {
		size_t len = strcspn(commands[i]->name, " ");

		if (first_of(i, len))
			fprintf(out, "%.*s ", (int)len, commands[i]->name);
	}
	fputs("help", out);
}

static void put_options(const struct command *command, FILE *out)
{
	for (size_t i = 0; i < command->table.count; i++)
		if (command->table.specs[i].help)
			fprintf(out, "--%s ", command->table.specs[i].name);
	fputs("--help", out);
}

/* Operands of most commands are tasks: they are asked for with `maestro ls`. */
static bool takes_task(const struct command *command)
{
	return strncmp(command->table.usage, "TASK", 4) == 0 || strstr(command->table.usage, " TASK");
}

void command_dump_bash(FILE *out)
{
	fputs("# bash completion for maestro(1). Made from its tables of commands and options.\n"
	      "_maestro()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words one=${COMP_WORDS[1]} two=${COMP_WORDS[2]}\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords='", out);
	put_first_words(out);
	fputs("'\n\telse\n\t\tcase \"$one $two\" in\n", out);
	for (size_t i = 0; i < commands_count; i++) {
		bool two = strchr(commands[i]->name, ' ') != NULL;

		fprintf(out, "\t\t'%s'%s)\n\t\t\twords='", commands[i]->name, two ? "" : "\\ *");
		put_options(commands[i], out);
		fputs("'\n", out);
		if (takes_task(commands[i]))
			fputs("\t\t\tcase $cur in -*) ;; *) words=$(maestro ls --all 2>/dev/null |\n"
			      "\t\t\t\tawk 'NR > 1 { print $1 }') ;; esac\n", out);
		fputs("\t\t\t;;\n", out);
	}
	for (size_t i = 0; i < commands_count; i++) {
		size_t len = strcspn(commands[i]->name, " ");

		if (!commands[i]->name[len] || !first_of(i, len))
			continue;
		fprintf(out, "\t\t'%.*s '*)\n\t\t\twords='", (int)len, commands[i]->name);
		for (size_t k = 0; k < commands_count; k++)
			if (strncmp(commands[k]->name, commands[i]->name, len + 1) == 0)
				fprintf(out, "%s ", commands[k]->name + len + 1);
		fputs("'\n\t\t\t;;\n", out);
	}
	fputs("\t\tesac\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
	      "complete -o default -F _maestro maestro\n", out);
}

/* In single quotes of the shell, and without what _arguments would take as its own. */
static void put_zsh_text(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (strchr("[]:\\", *text))
			fputc('\\', out);
		fputs(*text == '\'' ? "'\\''" : (char[]){ *text, 0 }, out);
	}
}

static void put_zsh_arguments(const struct command *command, FILE *out)
{
	for (size_t i = 0; i < command->table.count; i++) {
		const struct option_spec *spec = &command->table.specs[i];

		if (!spec->help)
			continue;
		fprintf(out, " \\\n\t\t\t'%s--%s[", spec->type == OPTION_LIST ? "*" : "", spec->name);
		put_zsh_text(spec->help, out);
		fputc(']', out);
		if (spec->arg) {
			fputc(':', out);
			put_zsh_text(spec->arg, out);
			fputc(':', out);
		}
		fputc('\'', out);
	}
	fprintf(out, " \\\n\t\t\t'*:%s'\n", takes_task(command) ? "task:_maestro_tasks" : "operand:_files");
}

void command_dump_zsh(FILE *out)
{
	fputs("#compdef maestro\n# zsh completion for maestro(1). Made from its tables of commands and options.\n"
	      "_maestro_tasks()\n{\n\tlocal -a tasks\n"
	      "\ttasks=(${(f)\"$(maestro ls --all 2>/dev/null | awk 'NR > 1 { print $1 }')\"})\n"
	      "\t_describe task tasks\n}\n\n"
	      "_maestro()\n{\n\tlocal -a all\n\tall=(\n", out);
	for (size_t i = 0; i < commands_count; i++) {
		fprintf(out, "\t\t'%s:", commands[i]->name);
		put_zsh_text(commands[i]->brief, out);
		fputs("'\n", out);
	}
	fputs("\t\t'help:tell more of a command'\n\t)\n"
	      "\tif (( CURRENT == 2 )); then\n"
	      "\t\tlocal -a firsts\n\t\tlocal one\n"
	      "\t\tfor one in $all; do [[ ${one%%:*} == *' '* ]] && firsts+=(${one%% *}) || firsts+=($one); done\n"
	      "\t\t_describe command firsts\n\t\treturn\n\tfi\n"
	      "\tif (( CURRENT == 3 )); then\n"
	      "\t\tlocal -a seconds\n\t\tlocal one\n"
	      "\t\tfor one in $all; do [[ $one == \"$words[2] \"* ]] && seconds+=(${one#* }); done\n"
	      "\t\tif (( $#seconds )); then _describe command seconds; return; fi\n\tfi\n"
	      "\tcase \"$words[2] $words[3]\" in\n", out);
	for (size_t i = 0; i < commands_count; i++) {
		fprintf(out, "\t('%s'%s)\n\t\t_arguments", commands[i]->name, strchr(commands[i]->name, ' ') ? "" : "\\ *");
		put_zsh_arguments(commands[i], out);
		fputs("\t\t;;\n", out);
	}
	fputs("\tesac\n}\n\n_maestro \"$@\"\n", out);
}

/* Dashes and backslashes as roff wants them, and no line that begins with a dot. */
static void put_roff(const char *text, FILE *out)
{
	bool at_start = true;

	for (; *text; text++) {
		if (at_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
		at_start = *text == '\n';
	}
}

static void put_roff_option(const struct option_spec *spec, FILE *out)
{
	fputs(".TP\n", out);
	if (spec->short_name)
		fprintf(out, "\\fB\\-%c\\fR, ", spec->short_name);
	fputs("\\fB\\-\\-", out);
	put_roff(spec->name, out);
	fputs("\\fR", out);
	if (spec->arg) {
		fputs(" \\fI", out);
		put_roff(spec->arg, out);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	put_roff(spec->help, out);
	fputc('\n', out);
}

void command_dump_man(FILE *out)
{
	fputs(".TH MAESTRO 1 \"\" \"Maestro " MAESTRO_VERSION "\" \"Maestro\"\n.SH NAME\nmaestro \\- run many AI coding sessions, watch and "
	      "review them\n.SH SYNOPSIS\n\\fBmaestro\\fR [\\fB\\-\\-coordinator\\fR \\fIADDRESS\\fR] \\fICOMMAND\\fR "
	      "[\\fIOPTION\\fR]... [\\fIOPERAND\\fR]...\n.SH COMMANDS\n", out);
	for (size_t i = 0; i < commands_count; i++) {
		fputs(".SS \"", out);
		put_roff(commands[i]->table.program, out);
		fputc(' ', out);
		put_roff(commands[i]->table.usage, out);
		fputs("\"\n", out);
		put_roff(commands[i]->table.summary, out);
		fputc('\n', out);
		for (size_t k = 0; k < commands[i]->table.count; k++)
			if (commands[i]->table.specs[k].help && strcmp(commands[i]->table.specs[k].name, "coordinator") &&
				strcmp(commands[i]->table.specs[k].name, "json"))
				put_roff_option(&commands[i]->table.specs[k], out);
	}
	fputs(".SH OPTIONS OF EVERY COMMAND\n.TP\n\\fB\\-\\-coordinator\\fR \\fIADDRESS\\fR\nThe coordinator, or a profile of client.conf.\n"
	      ".TP\n\\fB\\-\\-json\\fR\nPrint one JSON object or array (a line each with \\-f); keys are stable, null where nothing is known.\n"
	      ".SH EXIT STATUS\n0 well; 1 it failed; 2 usage; 3 no coordinator reached; 4 no such thing; 5 not allowed.\n"
	      ".SH ENVIRONMENT\n.TP\n\\fBMAESTRO_COORDINATOR\\fR\nThe coordinator, where \\-\\-coordinator is not given.\n"
	      ".TP\n\\fBMAESTRO_HOME\\fR\nOne directory for configuration, state and sockets, instead of the XDG ones.\n"
	      ".TP\n\\fBNO_COLOR\\fR\nNo colours.\n"
	      ".SH FILES\n.TP\n\\fI$XDG_CONFIG_HOME/maestro/client.conf\\fR\nProfiles of coordinators: profile = \"NAME\", and for each "
	      "coordinator NAME { address = \"HOST:PORT\" }.\n"
	      ".SH SEE ALSO\nmaestro\\-console(1), maestro\\-worker(1), maestro\\-coordinator(1)\n", out);
}
