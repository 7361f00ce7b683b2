// Included before everything else when the port is compiled against SDK 3 with picolibc: the SDK's own
// c_types.h defines bool, true and false by itself, against stdbool.h.
#ifndef COLDFRAME_SDK_TYPES_H
#define COLDFRAME_SDK_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#undef bool
#undef true
#undef false
#define bool sdk_bool
#include <c_types.h>
#undef bool
#undef true
#undef false
#define bool _Bool
#define true 1
#define false 0

#endif // COLDFRAME_SDK_TYPES_H
