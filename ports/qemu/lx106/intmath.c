// Integer division and wide multiplication. The lx106 has no instruction for them; the ESP8266 carries these helpers in
// its mask ROM, and so Debian's libgcc for the lx106 leaves them out.
//
// Small rather than fast: one turn per bit of the dividend.
//
// Part of Coldframe, MIT license (see LICENSE).
#include "helpers.h"

// Division by zero gives all ones, with the dividend as remainder: nothing traps on this CPU.
//
// `rest` never overflows when it is shifted: it is at most the part of `a` that was brought down so far, which is one
// bit short of full until the last turn.
static uint32_t divide32(uint32_t a, uint32_t b, uint32_t *remainder) {
    uint32_t quotient = 0;
    uint32_t rest = 0;
    if (b == 0) {
        *remainder = a;
        return UINT32_MAX;
    }
    for (int i = a == 0 ? -1 : 31 - __builtin_clz(a); i >= 0; --i) {
        rest = rest << 1 | (a >> i & 1);
        if (rest >= b) {
            rest -= b;
            quotient |= UINT32_C(1) << i;
        }
    }
    *remainder = rest;
    return quotient;
}

static uint64_t divide64(uint64_t a, uint64_t b, uint64_t *remainder) {
    uint64_t quotient = 0;
    uint64_t rest = 0;
    if (b == 0) {
        *remainder = a;
        return UINT64_MAX;
    }
    if ((a | b) >> 32 == 0) { // the usual case
        uint32_t rest32;
        uint32_t quotient32 = divide32((uint32_t)a, (uint32_t)b, &rest32);
        *remainder = rest32;
        return quotient32;
    }
    for (int i = a == 0 ? -1 : 63 - __builtin_clzll(a); i >= 0; --i) {
        rest = rest << 1 | (a >> i & 1);
        if (rest >= b) {
            rest -= b;
            quotient |= UINT64_C(1) << i;
        }
    }
    *remainder = rest;
    return quotient;
}

// Magnitudes are computed unsigned: the smallest number has no positive counterpart.
static uint32_t magnitude32(int32_t x) {
    return x < 0 ? -(uint32_t)x : (uint32_t)x;
}

static uint64_t magnitude64(int64_t x) {
    return x < 0 ? -(uint64_t)x : (uint64_t)x;
}

uint32_t HELPER(__udivsi3)(uint32_t a, uint32_t b) {
    uint32_t remainder;
    return divide32(a, b, &remainder);
}

uint32_t HELPER(__umodsi3)(uint32_t a, uint32_t b) {
    uint32_t remainder;
    divide32(a, b, &remainder);
    return remainder;
}

int32_t HELPER(__divsi3)(int32_t a, int32_t b) {
    uint32_t remainder;
    uint32_t quotient = divide32(magnitude32(a), magnitude32(b), &remainder);
    return (int32_t)((a < 0) != (b < 0) ? -quotient : quotient);
}

uint64_t HELPER(__udivdi3)(uint64_t a, uint64_t b) {
    uint64_t remainder;
    return divide64(a, b, &remainder);
}

uint64_t HELPER(__umoddi3)(uint64_t a, uint64_t b) {
    uint64_t remainder;
    divide64(a, b, &remainder);
    return remainder;
}

int64_t HELPER(__divdi3)(int64_t a, int64_t b) {
    uint64_t remainder;
    uint64_t quotient = divide64(magnitude64(a), magnitude64(b), &remainder);
    return (int64_t)((a < 0) != (b < 0) ? -quotient : quotient);
}

// 32 x 32 -> 64 out of four products of 16-bit halves: the CPU keeps only the low word of a product.
uint64_t HELPER(__umulsidi3)(uint32_t a, uint32_t b) {
    uint32_t a_low = a & 0xffff, a_high = a >> 16;
    uint32_t b_low = b & 0xffff, b_high = b >> 16;
    uint32_t low = a_low * b_low;
    uint32_t cross1 = a_low * b_high;
    uint32_t cross2 = a_high * b_low;
    uint32_t high = a_high * b_high;
    uint32_t middle = (low >> 16) + (cross1 & 0xffff) + (cross2 & 0xffff);
    high += (cross1 >> 16) + (cross2 >> 16) + (middle >> 16);
    return (uint64_t)high << 32 | (middle << 16 | (low & 0xffff));
}

// Modulo 2^64 the sign does not matter, and of the high words only their products with a low word reach the result.
int64_t HELPER(__muldi3)(int64_t a, int64_t b) {
    uint32_t a_low = (uint32_t)a, a_high = (uint32_t)((uint64_t)a >> 32);
    uint32_t b_low = (uint32_t)b, b_high = (uint32_t)((uint64_t)b >> 32);
    uint64_t cross = a_low * b_high + a_high * b_low;
    return (int64_t)(HELPER(__umulsidi3)(a_low, b_low) + (cross << 32));
}
