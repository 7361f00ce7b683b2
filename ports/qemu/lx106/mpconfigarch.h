// As ports/esp8266/mpconfigport.h of MicroPython 1.26 configures the ESP8266 with 2 MiB of flash, as far as it can
// be without its radio, its pins and its TLS library. Compare when the pinned MicroPython changes.
//
// Part of Coldframe, MIT license (see LICENSE).
#define MICROPY_PY_SYS_PLATFORM "qemu-lx106"
#define MICROPY_HW_MCU_NAME "lx106"

// Left out of the esp8266 port although the feature level has them.
#define MICROPY_COMP_MODULE_CONST (0)
#define MICROPY_COMP_TRIPLE_TUPLE_ASSIGN (0)
#define MICROPY_COMP_RETURN_IF_EXPR (0)
#define MICROPY_OPT_LOAD_ATTR_FAST_PATH (0)
#define MICROPY_OPT_MAP_LOOKUP_CACHE (0)
#define MICROPY_OPT_MPZ_BITWISE (0)
#define MICROPY_OPT_MATH_FACTORIAL (0)
#define MICROPY_REPL_EMACS_KEYS (0)
#define MICROPY_PY_BUILTINS_COMPLEX (0)
#define MICROPY_PY_DELATTR_SETATTR (0)
#define MICROPY_PY_BUILTINS_STR_CENTER (0)
#define MICROPY_PY_BUILTINS_STR_PARTITION (0)
#define MICROPY_PY_BUILTINS_STR_SPLITLINES (0)
#define MICROPY_PY_BUILTINS_SLICE_INDICES (0)
#define MICROPY_PY_BUILTINS_COMPILE (0)
#define MICROPY_PY_BUILTINS_EXECFILE (0)
#define MICROPY_PY_BUILTINS_NOTIMPLEMENTED (0)
#define MICROPY_PY_BUILTINS_POW3 (0)
#define MICROPY_PY___FILE__ (0)
#define MICROPY_PY_MATH_CONSTANTS (0)
#define MICROPY_PY_MATH_SPECIAL_FUNCTIONS (0)
#define MICROPY_PY_MATH_FACTORIAL (0)
#define MICROPY_PY_MATH_ISCLOSE (0)
#define MICROPY_PY_SYS_PS1_PS2 (0)
#define MICROPY_PY_BINASCII_CRC32 (0)
#define MICROPY_PY_RANDOM_EXTRA_FUNCS (0)

// Objects and memory. Floats live inside the object word (NaN boxing) and have 22 bits of mantissa.
#define MICROPY_OBJ_REPR (MICROPY_OBJ_REPR_C)
#define MICROPY_GC_STACK_ENTRY_TYPE uint16_t
#define MICROPY_ALLOC_LEXER_INDENT_INIT (8)
#define MICROPY_ALLOC_PARSE_RULE_INIT (48)
#define MICROPY_ALLOC_PARSE_RULE_INC (8)
#define MICROPY_ALLOC_PARSE_RESULT_INC (8)
#define MICROPY_ALLOC_PARSE_CHUNK_INIT (64)
#define MICROPY_FLOAT_FORMAT_IMPL (MICROPY_FLOAT_FORMAT_IMPL_BASIC)

#define MICROPY_EMIT_XTENSA (1)
#define MICROPY_EMIT_INLINE_XTENSA (1)

#define COLDFRAME_UNIQUE_ID "\x86\x26\x10\x6a"
#define COLDFRAME_FLASH_SIZE (128 * 1024)
#define COLDFRAME_CPU_HZ (62500000) // -icount shift=4: 16 ns per instruction
