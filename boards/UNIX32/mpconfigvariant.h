// The same as UNIX; a header of its own because the unix port looks for it in the board's folder.
#define MICROPY_HW_BOARD_NAME "Simulated board (32-bit)"
#include "../UNIX/mpconfigvariant.h"
