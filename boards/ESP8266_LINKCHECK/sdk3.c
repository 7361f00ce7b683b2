// What the vendor's SDK 3 wants of the program and SDK 2, which MicroPython is written for, does not.
#include "user_interface.h"

// The flash map must be registered before anything else runs. SDK 2 had the same places built in: the
// last five sectors of a 2 MiB part.
static const partition_item_t partitions[] = {
    { SYSTEM_PARTITION_BOOTLOADER, 0x0, 0x1000 },
    { SYSTEM_PARTITION_RF_CAL, 0x1fb000, 0x1000 },
    { SYSTEM_PARTITION_PHY_DATA, 0x1fc000, 0x1000 },
    { SYSTEM_PARTITION_SYSTEM_PARAMETER, 0x1fd000, 0x3000 },
};

void user_pre_init(void) {
    system_partition_table_regist(partitions, sizeof(partitions) / sizeof(partitions[0]), FLASH_SIZE_16M_MAP_1024_1024);
}

// newlib's table of character classes, which the SDK's lwIP reads to parse addresses. Picolibc has none of
// this name. It only has to resolve: this image is never run.
const char *__ctype_ptr__;
