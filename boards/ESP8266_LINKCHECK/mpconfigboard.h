// AES comes from axTLS, which is not among this build's sources.
#define MICROPY_PY_CRYPTOLIB            (0)
#include "../ESP8266_GENERIC/mpconfigboard.h"
