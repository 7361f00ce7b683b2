// The serial line of the simulated board: a pseudo terminal that a program on the PC can open.

#define _GNU_SOURCE // glibc hides ppoll and others otherwise

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "py/objstr.h"
#include "simboard.h"

// uart(link) -> descriptor of a new pseudo terminal; the host finds it by the symbolic link.
// uart(None) -> descriptors of the two ends of a wire
static mp_obj_t make_uart(mp_obj_t link_in) {
    if (link_in == mp_const_none) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
            mp_raise_OSError(errno);
        }
        mp_obj_t ends[] = { MP_OBJ_NEW_SMALL_INT(pair[0]), MP_OBJ_NEW_SMALL_INT(pair[1]) };
        return mp_obj_new_tuple(2, ends);
    }
    const char *link = mp_obj_str_get_str(link_in);
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    int unlock = 0, number = 0;
    if (fd < 0 || ioctl(fd, TIOCSPTLCK, &unlock) != 0 || ioctl(fd, TIOCGPTN, &number) != 0) {
        mp_raise_OSError(errno);
    }
    char name[32];
    snprintf(name, sizeof(name), "/dev/pts/%d", number);
    // Held open here as well, in raw mode: else the master reads EIO whenever the host closes its end.
    int held = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios t;
    if (held >= 0 && tcgetattr(held, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(held, TCSANOW, &t);
    }
    unlink(link);
    if (symlink(name, link) != 0) {
        mp_raise_OSError_with_filename(errno, link);
    }
    mp_obj_t ends[] = { MP_OBJ_NEW_SMALL_INT(fd), MP_OBJ_NEW_SMALL_INT(held) };
    return mp_obj_new_tuple(2, ends);
}
MP_DEFINE_CONST_FUN_OBJ_1(sim_uart_obj, make_uart);

// fd_read(fd, buf) -> n, or None when there is nothing; fd_write likewise
static mp_obj_t fd_read(mp_obj_t fd_in, mp_obj_t buf_in) {
    mp_buffer_info_t b;
    mp_get_buffer_raise(buf_in, &b, MP_BUFFER_WRITE);
    ssize_t n = read(mp_obj_get_int(fd_in), b.buf, b.len);
    return n <= 0 ? mp_const_none : mp_obj_new_int(n);
}
MP_DEFINE_CONST_FUN_OBJ_2(sim_fd_read_obj, fd_read);

static mp_obj_t fd_write(mp_obj_t fd_in, mp_obj_t buf_in) {
    mp_buffer_info_t b;
    mp_get_buffer_raise(buf_in, &b, MP_BUFFER_READ);
    ssize_t n = write(mp_obj_get_int(fd_in), b.buf, b.len);
    return n < 0 ? mp_const_none : mp_obj_new_int(n);
}
MP_DEFINE_CONST_FUN_OBJ_2(sim_fd_write_obj, fd_write);

static mp_obj_t fd_any(mp_obj_t fd_in) {
    int n = 0;
    ioctl(mp_obj_get_int(fd_in), FIONREAD, &n);
    return mp_obj_new_int(n);
}
MP_DEFINE_CONST_FUN_OBJ_1(sim_fd_any_obj, fd_any);

static mp_obj_t fd_close(mp_obj_t fd_in) {
    close(mp_obj_get_int(fd_in));
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_1(sim_fd_close_obj, fd_close);
