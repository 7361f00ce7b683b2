// SPDX-License-Identifier: MIT
//
// The entry point for libFuzzer: one program per target.
//
//   clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DTARGET=fuzz_decode \
//       -Icmodules/mqttpacket -Icmodules/ringlog \
//       tests/fuzz/libfuzzer.c tests/fuzz/fuzz_codec.c cmodules/mqttpacket/mqttpacket*.c -o fuzz_decode
//
// For the ring log: -DTARGET=fuzz_ringlog, and fuzz_ringlog.c beside the others; it includes the core.
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    TARGET(data, size);
    return 0;
}
