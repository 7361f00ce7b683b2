// Reset, exception vectors and the few things that C cannot say.
//
// Part of Coldframe, MIT license (see LICENSE).

// EXCCAUSE of an interrupt (of level 1); everything else is a crash.
#define LEVEL1_INTERRUPT 4

    .section .reset, "ax"
    .global _reset
_reset:
    j       start
    .align  4
    .literal_position
start:
    movi    a0, 0
    wsr.intenable a0
    wsr.ps  a0                  // kernel mode, all interrupt levels open, not in an exception
    rsync
    movi    a1, _stack_top
    movi    a0, lx106_start
    callx0  a0                  // never comes back

    // Offsets as the lx106 wants them. Each has room for one jump and little more.
    .section .vectors, "ax"
    .org    0x10                // debug
    j       crash
    .org    0x20                // NMI
    j       crash
    .org    0x30                // exception in kernel mode: the one we run in
    j       exception
    .org    0x50                // exception in user mode
    j       crash
    .org    0x70                // double exception
    j       crash

    .org    0x100
    .literal_position
exception:
    wsr.excsave1 a2
    rsr.exccause a2
    bnei    a2, LEVEL1_INTERRUPT, crash
    // The only interrupt is the timer that ends platform_idle_us(): switch it off, the sleeper goes on.
    movi    a2, 0
    wsr.intenable a2
    rsync
    rsr.excsave1 a2
    rfe

crash:
    movi    a1, _stack_top      // the old stack may be what is broken
    rsr.exccause a2
    rsr.epc1 a3
    rsr.excvaddr a4
    movi    a0, 0
    wsr.intenable a0
    movi    a0, port_crash
    callx0  a0

    .text
    .align  4
    .literal_position
    // void lx106_registers(uint32_t registers[4]): those that the call0 ABI keeps across calls, where a caller may
    // hold the only pointer to an object.
    .global lx106_registers
lx106_registers:
    s32i    a12, a2, 0
    s32i    a13, a2, 4
    s32i    a14, a2, 8
    s32i    a15, a2, 12
    ret
