#include "console/cli/command.h"

#define ENTRY(id) &command_##id,
const struct command *const commands[] = { COMMANDS(ENTRY) };
const size_t commands_count = ARRAY_SIZE(commands);
