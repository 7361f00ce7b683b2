// SPDX-License-Identifier: MIT
//
// The entry point for libFuzzer, one program per target (-DTARGET=fuzz_decode ...).
// scripts/fuzz.py builds and runs them: docs/fuzzing.md. In the environment,
// COLDFRAME_DROP is the number of a bounds check to take out (the mutation check).
#include "fuzz.h"

unsigned drop_check;
unsigned long fuzz_good;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *drop = getenv("COLDFRAME_DROP");
    drop_check = drop != NULL ? strtoul(drop, NULL, 10) : 0;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    TARGET(data, size);
    return 0;
}
