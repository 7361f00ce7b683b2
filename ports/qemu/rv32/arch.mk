# The ESP32-C3's instruction set: no atomics, no floating-point unit. Debian's C library for it is picolibc.
CROSS_COMPILE ?= riscv64-unknown-elf-
CFLAGS_ARCH = --specs=picolibc.specs -march=rv32imc_zicsr -mabi=ilp32 -msmall-data-limit=0
SRC_ARCH_C = rv32/platform.c shared/runtime/gchelper_native.c
SRC_ARCH_O = rv32/start.o shared/runtime/gchelper_rv32i.o
AFLAGS += -march=rv32imc_zicsr -mabi=ilp32
MPY_CROSS_FLAGS += -march=rv32imc
