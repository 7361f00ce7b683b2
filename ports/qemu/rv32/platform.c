// QEMU's RISC-V `virt` board: console on its 16550 UART, files by semihosting, time by the CLINT.
//
// Part of Coldframe, MIT license (see LICENSE).
#include <string.h>

#include "platform.h"

#define UART ((volatile uint8_t *)0x10000000)
#define UART_DATA (0)
#define UART_LINE_STATUS (5)
#define LINE_STATUS_RECEIVED (0x01)
#define LINE_STATUS_CAN_SEND (0x20)

// The machine timer: 64-bit counter and compare register, each as two words.
#define MTIME ((volatile uint32_t *)0x0200bff8)
#define MTIMECMP ((volatile uint32_t *)0x02004000)
#define MTIME_HZ (10000000)
#define MIE_TIMER (1u << 7)

// Operations: "Semihosting for AArch32 and AArch64", which RISC-V took over.
enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_READ = 0x06,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20,
};
#define OPEN_READ_BINARY (1)
#define STOPPED_APPLICATION_EXIT (0x20026)

extern char _data_start, _data_end, _data_load, _bss_start, _bss_end;

void _start(void);
int32_t semihost(uint32_t operation, const void *arguments);

// Called by the reset code with an empty stack.
_Noreturn void rv32_start(void) {
    memcpy(&_data_start, &_data_load, &_data_end - &_data_start);
    memset(&_bss_start, 0, &_bss_end - &_bss_start);
    port_main();
}

static uint64_t mtime(void) {
    for (;;) {
        uint32_t high = MTIME[1];
        uint32_t low = MTIME[0];
        if (MTIME[1] == high) { // no carry between the two reads
            return (uint64_t)high << 32 | low;
        }
    }
}

static uint64_t start;

void platform_init(void) {
    start = mtime(); // it goes on over a restart, our clock begins anew
}

uint64_t platform_time_us(void) {
    return (mtime() - start) / (MTIME_HZ / 1000000);
}

void platform_idle_us(uint32_t us) {
    if (us == 0) {
        return;
    }
    uint64_t when = mtime() + (uint64_t)us * (MTIME_HZ / 1000000);
    MTIMECMP[1] = 0xffffffff; // never a moment with a time in the past
    MTIMECMP[0] = (uint32_t)when;
    MTIMECMP[1] = (uint32_t)(when >> 32);
    __asm__ volatile ("csrw mie, %0; wfi; csrw mie, zero" : : "r" (MIE_TIMER) : "memory");
}

int platform_console_read(void) {
    return UART[UART_LINE_STATUS] & LINE_STATUS_RECEIVED ? UART[UART_DATA] : -1;
}

void platform_console_write(const char *text, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        while (!(UART[UART_LINE_STATUS] & LINE_STATUS_CAN_SEND)) {
        }
        UART[UART_DATA] = text[i];
    }
}

_Noreturn void platform_restart(void) {
    __asm__ volatile ("jr %0" : : "r" (_start));
    __builtin_unreachable();
}

_Noreturn void platform_exit(int status) {
    uint32_t arguments[2] = { STOPPED_APPLICATION_EXIT, (uint32_t)status };
    for (;;) {
        semihost(SYS_EXIT_EXTENDED, arguments);
    }
}

void platform_command_line(char *buffer, size_t size) {
    uint32_t arguments[2] = { (uint32_t)buffer, size };
    buffer[0] = '\0';
    if (semihost(SYS_GET_CMDLINE, arguments) != 0) {
        buffer[0] = '\0';
    }
}

int platform_host_open(const char *path) {
    uint32_t arguments[3] = { (uint32_t)path, OPEN_READ_BINARY, strlen(path) };
    return semihost(SYS_OPEN, arguments);
}

int platform_host_read(int fd, void *buffer, size_t size) {
    uint32_t arguments[3] = { (uint32_t)fd, (uint32_t)buffer, size };
    int32_t missing = semihost(SYS_READ, arguments); // bytes that were not read
    return missing < 0 || (size_t)missing > size ? -1 : (int)(size - missing);
}

void platform_host_close(int fd) {
    uint32_t arguments[1] = { (uint32_t)fd };
    semihost(SYS_CLOSE, arguments);
}
