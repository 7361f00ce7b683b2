// What a machine that QEMU emulates has to give to the port; lx106/ and rv32/ implement it.
//
// Part of Coldframe, MIT license (see LICENSE).
#ifndef COLDFRAME_QEMU_PLATFORM_H
#define COLDFRAME_QEMU_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

// Exit status of the QEMU process beyond what the script itself chooses with sys.exit().
enum {
    EXIT_UNCAUGHT = 1, // the script ended with an exception
    EXIT_NO_SCRIPT = 97, // a file named on the command line cannot be read
    EXIT_FATAL = 98, // the interpreter itself gave up
    EXIT_CRASH = 99, // the CPU raised an exception: bad address, bad instruction
};

// The start-up code's way into the port (main.c). Never returns.
_Noreturn void port_main(void);

// Report a CPU exception and end the emulation; called by the exception vectors (main.c).
_Noreturn void port_crash(uint32_t cause, uint32_t pc, uint32_t address);

// Start the clock at 0.
void platform_init(void);

// Microseconds since the machine was started.
uint64_t platform_time_us(void);

// Stop the CPU for that long or until there is something to do. With QEMU's `-icount sleep=off` this takes no
// time on the host: the guest's clock jumps.
void platform_idle_us(uint32_t us);

// Next byte from the console, or -1 if none has arrived.
int platform_console_read(void);

void platform_console_write(const char *text, size_t length);

// Start again from the reset vector. RAM that the linker script keeps out of .data and .bss survives.
_Noreturn void platform_restart(void);

// End QEMU with that exit status.
_Noreturn void platform_exit(int status);

// The words given by `-semihosting-config arg=...` joined by spaces; the first one is the program's name.
// Cut at size - 1; always ends with a NUL.
void platform_command_line(char *buffer, size_t size);

// Files on the host, read only. open: descriptor or -1. read: bytes read, 0 at the end, -1 on an error.
int platform_host_open(const char *path);
int platform_host_read(int fd, void *buffer, size_t size);
void platform_host_close(int fd);

#endif
