// Reset, the trap vector and the semihosting call.
//
// Part of Coldframe, MIT license (see LICENSE).

    .section .start, "ax"
    .global _start
_start:
    csrw    mie, zero
    csrci   mstatus, 8          // no interrupt is ever taken: wfi wakes for a pending one all the same
    la      t0, trap
    csrw    mtvec, t0
    la      sp, _stack_top
    tail    rv32_start

    .text
    .align  2
trap:
    la      sp, _stack_top      // the old stack may be what is broken
    csrr    a0, mcause
    csrr    a1, mepc
    csrr    a2, mtval
    tail    port_crash

    // int32_t semihost(uint32_t operation, const void *arguments): QEMU knows the call by these three instructions,
    // uncompressed and within one page.
    .balign 16
    .option push
    .option norvc
    .global semihost
semihost:
    slli    zero, zero, 0x1f
    ebreak
    srai    zero, zero, 7
    ret
    .option pop
