// Names of the compiler's helper functions. The host test (tests/host/test_softfp.py) compiles intmath.c and softfp.c
// for the PC under other names, to compare them with the PC's own arithmetic.
//
// Part of Coldframe, MIT license (see LICENSE).
#ifndef COLDFRAME_LX106_HELPERS_H
#define COLDFRAME_LX106_HELPERS_H

#include <stdint.h>

#ifdef COLDFRAME_HOST_TEST
#define HELPER(name) test_##name
#else
#define HELPER(name) name
#endif

// intmath.c
uint32_t HELPER(__udivsi3)(uint32_t a, uint32_t b);
uint32_t HELPER(__umodsi3)(uint32_t a, uint32_t b);
int32_t HELPER(__divsi3)(int32_t a, int32_t b);
uint64_t HELPER(__umulsidi3)(uint32_t a, uint32_t b);
int64_t HELPER(__muldi3)(int64_t a, int64_t b);
uint64_t HELPER(__udivdi3)(uint64_t a, uint64_t b);
uint64_t HELPER(__umoddi3)(uint64_t a, uint64_t b);
int64_t HELPER(__divdi3)(int64_t a, int64_t b);

// softfp.c
float HELPER(__addsf3)(float a, float b);
float HELPER(__subsf3)(float a, float b);
float HELPER(__mulsf3)(float a, float b);
float HELPER(__floatsisf)(int32_t x);
float HELPER(__floatunsisf)(uint32_t x);
uint32_t HELPER(__fixunssfsi)(float a);
double HELPER(__extendsfdf2)(float a);
float HELPER(__truncdfsf2)(double a);
double HELPER(__floatsidf)(int32_t x);

#endif
