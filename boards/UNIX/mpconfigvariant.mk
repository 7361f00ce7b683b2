# The simulated board: a variant folder for MicroPython's own unix port (VARIANT_DIR=.../boards/UNIX).
# UNIX32 includes this file; SIM_DIR is found from this file's own place, so it works from there too.
SIM_DIR := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../../ports/unix)

PROG ?= coldframe-sim
FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py

# Berkeley DB and libffi are not among our sources, and no board has them.
MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_JNI = 0
# One thread, as the framework uses; a signal is then a faithful model of an interrupt.
MICROPY_PY_THREAD = 0
MICROPY_PY_TERMIOS = 0
MICROPY_PY_SOCKET = 1
MICROPY_PY_SSL = 1
MICROPY_SSL_MBEDTLS = 1
MICROPY_VFS_FAT = 1
MICROPY_VFS_LFS1 = 0
MICROPY_VFS_LFS2 = 1

# The console of a board (friendly and raw REPL, boot.py, main.py) instead of that of a Unix program.
SHARED_SRC_C_EXTRA += runtime/pyexec.c

vpath sim%.c $(SIM_DIR)
SRC_C += simboard.c simradio.c simclock.c simstate.c simuart.c
INC += -I$(SIM_DIR)
