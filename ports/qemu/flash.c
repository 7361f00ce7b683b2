// The SPI flash: a block device on RAM that behaves like NOR flash.
//
// Part of Coldframe, MIT license (see LICENSE).
#include <string.h>

#include "py/runtime.h"
#include "extmod/vfs.h"

#include "port.h"

#define BLOCK_SIZE (4096)
#define BLOCK_COUNT (COLDFRAME_FLASH_SIZE / BLOCK_SIZE)

// A restart finds the files again. link.ld leaves 512 KiB for it.
extern uint8_t kept_flash[BLOCK_COUNT * BLOCK_SIZE];

// Where block + offset lies, checked so that a wrong number is an exception and not a wild pointer.
static uint8_t *flash_at(mp_obj_t block, size_t n_args, const mp_obj_t *args, size_t length) {
    size_t at = (size_t)mp_obj_get_int(block) * BLOCK_SIZE + (n_args > 3 ? (size_t)mp_obj_get_int(args[3]) : 0);
    if (at > sizeof(kept_flash) || length > sizeof(kept_flash) - at) {
        mp_raise_ValueError(MP_ERROR_TEXT("outside the flash"));
    }
    return kept_flash + at;
}

static mp_obj_t flash_readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_WRITE);
    memcpy(buffer.buf, flash_at(args[1], n_args, args, buffer.len), buffer.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_readblocks_obj, 3, 4, flash_readblocks);

static mp_obj_t flash_writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_READ);
    uint8_t *to = flash_at(args[1], n_args, args, buffer.len);
    if (n_args == 3) {
        memset(to, 0xff, buffer.len); // the simple protocol: a write erases its blocks first
    }
    // Programming NOR flash can only clear bits: writing twice without an erase shows here as it does on a board.
    for (size_t i = 0; i < buffer.len; ++i) {
        to[i] &= ((const uint8_t *)buffer.buf)[i];
    }
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(flash_writeblocks_obj, 3, 4, flash_writeblocks);

static mp_obj_t flash_ioctl(mp_obj_t self, mp_obj_t op, mp_obj_t arg) {
    switch (mp_obj_get_int(op)) {
        case MP_BLOCKDEV_IOCTL_INIT:
        case MP_BLOCKDEV_IOCTL_DEINIT:
        case MP_BLOCKDEV_IOCTL_SYNC:
            return MP_OBJ_NEW_SMALL_INT(0);
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(BLOCK_COUNT);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK_SIZE);
        case MP_BLOCKDEV_IOCTL_BLOCK_ERASE:
            memset(flash_at(arg, 0, NULL, BLOCK_SIZE), 0xff, BLOCK_SIZE);
            return MP_OBJ_NEW_SMALL_INT(0);
        default:
            return mp_const_none;
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(flash_ioctl_obj, flash_ioctl);

static const mp_rom_map_elem_t flash_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&flash_readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&flash_writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&flash_ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(flash_locals, flash_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    flash_type,
    MP_QSTR_Flash,
    MP_TYPE_FLAG_NONE,
    locals_dict, &flash_locals
    );

const mp_obj_base_t qemu_flash_obj = { &flash_type };
