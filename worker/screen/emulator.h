/* The emulator is implemented here; its contract is in proto/wire/emulator.h, since `maestro replay` draws with it too
 * and the console knows nothing of the worker's folders. */
#pragma once

#include "proto/wire/emulator.h"
