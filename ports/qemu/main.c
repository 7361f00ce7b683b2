// Start of the port: memory, file system, then the scripts named on QEMU's command line or a board's usual boot.
//
//   (nothing)          frozen boot.py, main.py, then the REPL on the console: as on a board
//   A.mpy B.py C.mpy   A and B become importable modules, C runs as __main__, and QEMU ends with its exit status
//
// Part of Coldframe, MIT license (see LICENSE).
#include <string.h>

#include "py/builtin.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "extmod/vfs.h"
#include "extmod/vfs_lfs.h"
#include "shared/readline/readline.h"
#include "shared/runtime/gchelper.h"
#include "shared/runtime/pyexec.h"

#include "platform.h"
#include "port.h"

// The size is the board's (board.toml): the point of these machines is a heap as small as a real board's.
static char heap[COLDFRAME_HEAP_SIZE] __attribute__((aligned(16)));

// From the linker script: the stack grows down from _stack_top to _stack_bottom.
extern char _stack_top, _stack_bottom;

// The deepest C frames that may still be entered when Python's recursion check says "enough".
#define STACK_MARGIN (1024)

static void mount_flash(void) {
    mp_obj_t device = MP_OBJ_FROM_PTR(&qemu_flash_obj);
    mp_obj_t lfs2 = MP_OBJ_FROM_PTR(&mp_type_vfs_lfs2);
    mp_obj_t args[2] = { MP_OBJ_NULL, MP_OBJ_NEW_QSTR(MP_QSTR__slash_) };
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        args[0] = mp_call_function_1(lfs2, device);
        nlr_pop();
    } else {
        // No file system: the first start. Make one, as a board does.
        mp_call_function_1(mp_load_attr(lfs2, MP_QSTR_mkfs), device);
        args[0] = mp_call_function_1(lfs2, device);
    }
    mp_vfs_mount(2, args, (mp_map_t *)&mp_const_empty_map);
    MP_STATE_PORT(vfs_cur) = MP_STATE_PORT(vfs_mount_table);
}

// What an exception that nobody caught means for QEMU's exit status. SystemExit carries it, as on a PC.
static int exit_status(mp_obj_t exception) {
    if (!mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(mp_obj_get_type(exception)), MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        mp_obj_print_exception(&mp_plat_print, exception);
        return EXIT_UNCAUGHT;
    }
    mp_obj_t value = mp_obj_exception_get_value(exception);
    mp_int_t status;
    if (value == mp_const_none) {
        return 0;
    }
    if (mp_obj_get_int_maybe(value, &status)) {
        return status;
    }
    mp_obj_print_helper(&mp_plat_print, value, PRINT_STR);
    mp_print_str(&mp_plat_print, "\n");
    return EXIT_UNCAUGHT;
}

// Run the files named in words (separated by spaces): the last one is __main__, the others are modules.
static int run_scripts(char *words) {
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) {
        return exit_status(MP_OBJ_FROM_PTR(nlr.ret_val));
    }
    while (words != NULL) {
        char *path = words;
        words = strchr(path, ' ');
        if (words != NULL) {
            *words++ = '\0';
        }
        int fd = platform_host_open(path);
        if (fd < 0) {
            mp_printf(&mp_plat_print, "cannot read %s\n", path);
            nlr_pop();
            return EXIT_NO_SCRIPT;
        }
        platform_host_close(fd);
        script_run(path, words == NULL);
    }
    mp_handle_pending(true);
    nlr_pop();
    return 0;
}

static void repl(void) {
    pyexec_file_if_exists("boot.py");
    pyexec_file_if_exists("main.py");
    for (;;) {
        int done = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
        if (done != 0) { // Ctrl-D or sys.exit()
            return;
        }
    }
}

void port_main(void) {
    platform_init();
    kept_init();
    mp_cstack_init_with_top(&_stack_top, &_stack_top - &_stack_bottom - STACK_MARGIN);
    gc_init(heap, heap + sizeof(heap));
    mp_init();
    mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(MP_QSTR__slash_lib));
    mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(MP_QSTR__slash_));
    readline_init0();
    mount_flash();

    static char command_line[512];
    platform_command_line(command_line, sizeof(command_line));
    char *words = strchr(command_line, ' ');
    if (words != NULL) {
        platform_exit(run_scripts(words + 1));
    }
    repl();
    platform_exit(0);
}

void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

void nlr_jump_fail(void *value) {
    mp_hal_stdout_tx_str("fatal: exception without a handler\n");
    platform_exit(EXIT_FATAL);
}

static void print_hex(const char *label, uint32_t value) {
    char text[8];
    for (int i = 7; i >= 0; --i, value >>= 4) {
        text[i] = "0123456789abcdef"[value & 15];
    }
    mp_hal_stdout_tx_str(label);
    mp_hal_stdout_tx_strn(text, sizeof(text));
}

// Nothing of the interpreter can be trusted here, so print without it.
void port_crash(uint32_t cause, uint32_t pc, uint32_t address) {
    print_hex("\nfatal: CPU exception ", cause);
    print_hex(" at ", pc);
    print_hex(", address ", address);
    mp_hal_stdout_tx_str("\n");
    platform_exit(EXIT_CRASH);
}

#ifndef NDEBUG
void __assert_func(const char *file, int line, const char *function, const char *expression) {
    mp_printf(&mp_plat_print, "fatal: assertion '%s' failed, %s:%d\n", expression, file, line);
    platform_exit(EXIT_FATAL);
}
#endif
