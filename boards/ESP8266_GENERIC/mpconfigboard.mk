# Program in the first MiB of the flash, file system behind it.
LD_FILES = boards/esp8266_2MiB.ld

MICROPY_VFS_LFS2 ?= 1
# Coldframe uses neither FAT, nor berkeley-db, nor ESP-NOW; left out, they are flash and RAM for other things.
MICROPY_VFS_FAT ?= 0
MICROPY_PY_BTREE ?= 0
MICROPY_PY_ESPNOW ?= 0
