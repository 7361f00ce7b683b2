// QEMU's Xtensa simulator board: console and files by the `simcall` instruction, time by CCOUNT.
//
// Part of Coldframe, MIT license (see LICENSE).
#include <string.h>

#include "py/gc.h"
#include "py/mpstate.h"
#include "shared/runtime/gchelper.h"

#include "platform.h"

// QEMU counts CCOUNT of its lx106 at this rate, whatever the instructions take.
#define CYCLES_PER_US (10)

// CCOMPARE0 raises this interrupt, of level 1 (as on the ESP8266).
#define TIMER_INTERRUPT (1u << 6)

// Numbers of the calls: QEMU, target/xtensa/xtensa-semi.c.
enum {
    SYS_EXIT = 1,
    SYS_READ = 3,
    SYS_WRITE = 4,
    SYS_OPEN = 5,
    SYS_CLOSE = 6,
    SYS_SELECT_ONE = 29,
    SYS_ARGC = 1000,
    SYS_ARGV_SIZE = 1001,
    SYS_ARGV = 1002,
};

extern char _data_start, _data_end, _data_load, _bss_start, _bss_end, _stack_top;

void _reset(void);
void lx106_registers(uint32_t registers[4]);

static int32_t simcall(uint32_t number, uint32_t a, uint32_t b, uint32_t c) {
    register uint32_t a2 __asm__ ("a2") = number;
    register uint32_t a3 __asm__ ("a3") = a; // errno on return
    register uint32_t a4 __asm__ ("a4") = b;
    register uint32_t a5 __asm__ ("a5") = c;
    __asm__ volatile ("simcall" : "+r" (a2), "+r" (a3) : "r" (a4), "r" (a5) : "memory");
    return (int32_t)a2;
}

// Called by the reset vector with an empty stack.
_Noreturn void lx106_start(void) {
    memcpy(&_data_start, &_data_load, &_data_end - &_data_start);
    memset(&_bss_start, 0, &_bss_end - &_bss_start);
    port_main();
}

static uint32_t ccount(void) {
    uint32_t value;
    __asm__ volatile ("rsr.ccount %0" : "=r" (value));
    return value;
}

static uint32_t counted; // CCOUNT up to which platform_time_us() has counted

void platform_init(void) {
    counted = ccount(); // it goes on over a restart, our clock begins anew
}

uint64_t platform_time_us(void) {
    // CCOUNT wraps every seven minutes; it is read far more often than that. Counted on in microseconds, because the
    // division of 64 bits is what costs here.
    static uint64_t us;
    uint32_t passed = (ccount() - counted) / CYCLES_PER_US;
    counted += passed * CYCLES_PER_US;
    us += passed;
    return us;
}

void platform_idle_us(uint32_t us) {
    if (us == 0) {
        return;
    }
    uint32_t old;
    // Level 1 stays closed until `waiti 0` opens it: the interrupt cannot slip in before the CPU waits for it.
    __asm__ volatile ("rsil %0, 1" : "=r" (old) : : "memory");
    __asm__ volatile ("wsr.ccompare0 %0" : : "r" (ccount() + us * CYCLES_PER_US));
    __asm__ volatile ("wsr.intenable %0; rsync" : : "r" (TIMER_INTERRUPT));
    __asm__ volatile ("waiti 0" : : : "memory");
}

int platform_console_read(void) {
    // Without -serial the console is QEMU's own standard input, where a read would block.
    uint32_t no_wait[2] = { 0, 0 };
    unsigned char c;
    if (simcall(SYS_SELECT_ONE, 0, 0, (uint32_t)no_wait) > 0 && simcall(SYS_READ, 0, (uint32_t)&c, 1) == 1) {
        return c;
    }
    return -1;
}

void platform_console_write(const char *text, size_t length) {
    while (length > 0) {
        int32_t written = simcall(SYS_WRITE, 1, (uint32_t)text, length);
        if (written <= 0) {
            return;
        }
        text += written;
        length -= written;
    }
}

_Noreturn void platform_restart(void) {
    __asm__ volatile ("jx %0" : : "r" (_reset));
    __builtin_unreachable();
}

_Noreturn void platform_exit(int status) {
    for (;;) {
        simcall(SYS_EXIT, (uint32_t)status, 0, 0);
    }
}

void platform_command_line(char *buffer, size_t size) {
    // QEMU fills the block with the pointers (argc of them and a NULL) and behind them the strings.
    static uint32_t block[512 / sizeof(uint32_t)];
    buffer[0] = '\0';
    if ((uint32_t)simcall(SYS_ARGV_SIZE, 0, 0, 0) > sizeof(block)) {
        return;
    }
    int32_t argc = simcall(SYS_ARGC, 0, 0, 0);
    simcall(SYS_ARGV, (uint32_t)block, 0, 0);
    size_t used = 0;
    for (int32_t i = 0; i < argc; ++i) {
        const char *word = (const char *)block[i];
        size_t length = strlen(word);
        if (used + length + 2 > size) {
            break;
        }
        if (i > 0) {
            buffer[used++] = ' ';
        }
        memcpy(buffer + used, word, length + 1);
        used += length;
    }
}

int platform_host_open(const char *path) {
    return simcall(SYS_OPEN, (uint32_t)path, 0, 0);
}

int platform_host_read(int fd, void *buffer, size_t size) {
    return simcall(SYS_READ, fd, (uint32_t)buffer, size);
}

void platform_host_close(int fd) {
    simcall(SYS_CLOSE, fd, 0, 0);
}

// The whole stack is scanned, this function's frame with the saved registers included. Never inlined: the registers
// have to be those of the callers.
MP_NOINLINE void gc_helper_collect_regs_and_stack(void) {
    uint32_t registers[4];
    lx106_registers(registers);
    uintptr_t sp;
    __asm__ volatile ("mov %0, a1" : "=r" (sp) : "r" (registers) : "memory");
    gc_collect_root((void **)sp, ((uintptr_t)&_stack_top - sp) / sizeof(uint32_t));
}
