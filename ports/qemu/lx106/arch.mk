# The ESP8266's processor. Flags as in MicroPython's esp8266 port, so that the same code is generated;
# -mforce-l32 (word-wise reads of constants in flash) is one of them.
CROSS_COMPILE ?= xtensa-lx106-elf-
CFLAGS_ARCH = -mlongcalls -mtext-section-literals -mforce-l32
SRC_ARCH_C = lx106/platform.c lx106/intmath.c lx106/softfp.c
SRC_ARCH_O = lx106/start.o
MPY_CROSS_FLAGS += -march=xtensa
