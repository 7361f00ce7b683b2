// The simulated board: resets, watchdog, timers, retained memory, console; module _simboard.
// The Python modules machine, network and simboard in ports/unix/modules are built on it.

#define _GNU_SOURCE // glibc hides ppoll and others otherwise

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>

#include "py/gc.h"
#include "py/mphal.h"
#include "py/objarray.h"
#include "py/objstr.h"
#include "shared/runtime/pyexec.h"
#include "simboard.h"

#define MAGIC           (0x51D00001)
#define SIGNAL_TIMER    (SIGRTMIN)
#define SIGNAL_WATCHDOG (SIGRTMIN + 1)
#define SIGNAL_KICK     (SIGRTMIN + 2)
#define CUT_LINGER_S    (300)   // how long connections outlive a power cut, silent
#define ARGS            (64)

extern char **environ;

sim_retained_t *sim_retained;
int sim_cause = SIM_POWER_ON;
volatile int sim_atomic_depth;

static bool started;                    // _simboard.start() was called: this process is a board
static char command_line[8192];
static char *arguments[ARGS + 1];
static volatile uint32_t events;        // raised, not yet dispatched
static volatile bool interrupt;         // Ctrl-C, likewise
static mp_sched_node_t node;
static timer_t timers[SIM_EVENTS], watchdog, kicker;
static uint32_t timers_made;
static bool watchdog_made;
static int watched = -1;                // tells which files were written

MP_REGISTER_ROOT_POINTER(mp_obj_t sim_on_event);

// ---- console ----

static struct termios terminal_before;
static bool terminal;
static bool ctrl_c = true;              // interrupts, as micropython.kbd_intr(3) asks for

void sim_console_running(bool running) {
    if (!terminal) {
        return;
    }
    struct termios t = terminal_before;
    t.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    // While code runs, Ctrl-C interrupts and keeps what was typed ahead; the REPL reads it as a character.
    t.c_lflag = running && ctrl_c ? (tcflag_t)(ISIG | NOFLSH) : 0;
    t.c_cc[VINTR] = 3;
    t.c_cc[VQUIT] = t.c_cc[VSUSP] = _POSIX_VDISABLE;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(0, TCSADRAIN, &t);
}

// console(data): write bytes to the console as they are, as a UART does; the terminal makes CR LF of LF otherwise.
static mp_obj_t console(mp_obj_t data_in) {
    mp_buffer_info_t data;
    mp_get_buffer_raise(data_in, &data, MP_BUFFER_READ);
    struct termios before, t;
    bool set = terminal && tcgetattr(1, &before) == 0;
    if (set) {
        t = before;
        t.c_oflag &= ~(tcflag_t)OPOST;
        tcsetattr(1, TCSADRAIN, &t);
    }
    for (size_t at = 0; at < data.len;) {
        ssize_t n = write(1, (const char *)data.buf + at, data.len - at);
        if (n > 0) {
            at += (size_t)n;
        } else if (errno != EINTR) {
            break;
        }
    }
    if (set) {
        tcsetattr(1, TCSADRAIN, &before);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(console_obj, console);

static void console_restore(void) {
    if (terminal) {
        tcsetattr(0, TCSADRAIN, &terminal_before);
    }
}

// ---- events: a signal sets a bit, the scheduler runs the rest between two bytecodes ----

// What can be dispatched now: while Python does not listen, its events wait.
static uint32_t deliverable(void) {
    mp_obj_t callback = MP_STATE_VM(sim_on_event);
    bool heard = callback != MP_OBJ_NULL && callback != mp_const_none;
    return heard ? events : events & (1u << SIM_EVENT_STATE);
}

static void dispatch(mp_sched_node_t *n) {
    (void)n;
    uint32_t now = deliverable();
    __atomic_fetch_and(&events, ~now, __ATOMIC_SEQ_CST);
    if (now & (1u << SIM_EVENT_STATE)) {
        sim_state_flush();
        now &= ~(1u << SIM_EVENT_STATE);
    }
    if (now != 0) {
        // A Ctrl-C waits: raised in here it would end this call, and not the program.
        unsigned long state = sim_atomic_begin();
        mp_call_function_1_protected(MP_STATE_VM(sim_on_event), MP_OBJ_NEW_SMALL_INT((mp_int_t)now));
        sim_atomic_end(state);
    }
}

// A signal that comes just before a system call begins to wait does not interrupt it. So there is another
// one every 2 ms, until what the first had scheduled has begun.
static void kick(long ms) {
    struct itimerspec spec = { .it_value = { 0, ms * 1000000L }, .it_interval = { 0, ms * 1000000L } };
    timer_settime(kicker, 0, &spec, NULL);
}

static void on_kick(int signum) {
    (void)signum;
    if (MP_STATE_VM(sched_state) == MP_SCHED_IDLE) {
        kick(0);
    }
}

void sim_atomic_release(void) {
    if (interrupt) {
        interrupt = false;
        mp_sched_keyboard_interrupt();
        kick(2);
    }
    // Also called at the end of the scheduler's own atomic sections, so it must not enter another one
    // unless there is something to schedule.
    if (node.callback == NULL && deliverable() != 0) {
        mp_sched_schedule_node(&node, dispatch);
        kick(2);
    }
}

void sim_raise_event(int event) {
    __atomic_fetch_or(&events, 1u << event, __ATOMIC_SEQ_CST);
    if (sim_atomic_depth == 0) {
        sim_atomic_release();
    }
}

static void on_timer(int signum, siginfo_t *info, void *context) {
    (void)signum;
    (void)context;
    sim_raise_event(info->si_value.sival_int);
}

static void on_world(int signum) {
    (void)signum;
    sim_raise_event(SIM_EVENT_WORLD);
}

// A file of the folder was written: world.json, or our own state.json, which is nothing to read the world anew for.
static void on_watch(int signum) {
    (void)signum;
    int err = errno;
    union {
        struct inotify_event event;
        char bytes[1024];
    } buf;
    bool changed = false;
    ssize_t n;
    while ((n = read(watched, buf.bytes, sizeof(buf.bytes))) > 0) {
        for (ssize_t at = 0; at < n;) {
            struct inotify_event *event = (struct inotify_event *)(void *)(buf.bytes + at);
            changed = changed || (event->mask & IN_Q_OVERFLOW) || (event->len > 0 && strcmp(event->name, "world.json") == 0);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    errno = err;
    if (changed) {
        sim_raise_event(SIM_EVENT_WORLD);
    }
}

static void on_interrupt(int signum) {
    (void)signum;
    interrupt = true;
    if (sim_atomic_depth == 0) {
        sim_atomic_release();
    }
}

static void on_watchdog(int signum) {
    (void)signum;
    sim_reset(SIM_WATCHDOG);
}

// The battery is pulled out: the process ends, but its connections must not say so. A child holds them.
static void on_cut(int signum) {
    (void)signum;
    console_restore();
    if (sim_radio_before_reset(true) && fork() == 0) {
        close(0);
        close(1);
        close(2);
        struct sigaction plain = { .sa_handler = SIG_DFL };
        (sigaction)(SIGALRM, &plain, NULL);
        (sigaction)(SIGTERM, &plain, NULL);
        plain.sa_handler = SIG_IGN;     // the end of its terminal's session is not its own
        (sigaction)(SIGHUP, &plain, NULL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        alarm(CUT_LINGER_S);
        for (;;) {
            pause();
        }
    }
    _exit(0);
}

static void on_end(int signum) {
    console_restore();
    struct sigaction plain = { .sa_handler = SIG_DFL };
    (sigaction)(signum, &plain, NULL);
    raise(signum);
}

// The port switches Ctrl-C on and off with this. Its own handler would end the process at the second
// Ctrl-C, and "off" would let the first one end it.
int sim_sigaction(int signum, const struct sigaction *act, struct sigaction *old) {
    if (!started || signum != SIGINT) {
        return (sigaction)(signum, act, old);
    }
    // "Off" also lets the terminal pass it on as a character.
    ctrl_c = act->sa_handler != SIG_DFL;
    sim_console_running(true);
    struct sigaction mine = { .sa_handler = ctrl_c ? on_interrupt : SIG_IGN };
    sigemptyset(&mine.sa_mask);
    return (sigaction)(signum, &mine, old);
}

static void handle(int signum, void (*handler)(int)) {
    struct sigaction act = { .sa_handler = handler };
    sigfillset(&act.sa_mask);
    (sigaction)(signum, &act, NULL);
}

// ---- timers ----

static bool timer_arm(timer_t timer, int32_t ms, bool periodic) {
    int64_t ns = ms <= 0 ? 0 : (int64_t)((double)ms * 1e6 / sim_clock_speed());
    if (ms > 0 && ns < 1000) {
        ns = 1000;
    }
    struct itimerspec spec = { .it_value = { (time_t)(ns / 1000000000LL), (long)(ns % 1000000000LL) } };
    if (periodic) {
        spec.it_interval = spec.it_value;
    }
    return timer_settime(timer, 0, &spec, NULL) == 0;
}

static bool timer_make(timer_t *timer, int signum, int value) {
    struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signum };
    how.sigev_value.sival_int = value;
    return timer_create(CLOCK_MONOTONIC, &how, timer) == 0;
}

bool sim_timer_set(int event, int32_t ms, bool periodic) {
    if (!started || event < 0 || event >= SIM_EVENTS) {
        return false;
    }
    if (!(timers_made & (1u << event))) {
        if (ms <= 0) {
            return true;
        }
        if (!timer_make(&timers[event], SIGNAL_TIMER, event)) {
            return false;
        }
        timers_made |= 1u << event;
    }
    return timer_arm(timers[event], ms, periodic);
}

static mp_obj_t board_timer(size_t n_args, const mp_obj_t *args) {
    int n = mp_obj_get_int(args[0]);
    int event = SIM_TIMER_FIRST + n;
    if (n < 0 || event >= SIM_EVENTS || !sim_timer_set(event, mp_obj_get_int(args[1]), n_args > 2 && mp_obj_is_true(args[2]))) {
        mp_raise_OSError(ENOMEM);
    }
    if (mp_obj_get_int(args[1]) <= 0) {
        __atomic_fetch_and(&events, ~(1u << event), __ATOMIC_SEQ_CST);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(board_timer_obj, 2, 3, board_timer);

// watchdog(ms): starts or feeds it; nothing but a reset stops it.
static mp_obj_t board_watchdog(mp_obj_t ms_in) {
    sim_retained->wdt_ms = mp_obj_get_int(ms_in);
    if (!watchdog_made) {
        watchdog_made = timer_make(&watchdog, SIGNAL_WATCHDOG, 0);
    }
    if (!watchdog_made || !timer_arm(watchdog, sim_retained->wdt_ms, false)) {
        mp_raise_OSError(errno);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_watchdog_obj, board_watchdog);

// ---- resets ----

// The program is executed anew: nothing of the old life is left but the retained memory, the flash
// folder, and (except after a soft reset) the peers' belief that the old connections are alive.
MP_NORETURN void sim_reset(int cause) {
    sigset_t all, none;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sim_retained->next_cause = cause;
    sim_clock_before_reset();
    if (cause != SIM_SOFT) {
        sim_retained->wdt_ms = 0;
    }
    console_restore();
    sim_radio_before_reset(cause != SIM_SOFT);
    // exec keeps the signal mask, and what is ignored: a Ctrl-C, or news of the world, must not end the new life while
    // it starts.
    struct sigaction plain = { .sa_handler = SIG_IGN };
    (sigaction)(SIGINT, &plain, NULL);
    (sigaction)(SIGIO, &plain, NULL);
    (sigaction)(SIGUSR1, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/proc/self/exe", arguments, environ);
    static const char message[] = "simulated board: cannot restart the program\n";
    ssize_t ignored = write(2, message, sizeof(message) - 1);
    (void)ignored;
    _exit(70);
}

static mp_obj_t board_reset(mp_obj_t cause_in) {
    int cause = mp_obj_get_int(cause_in);
    if (cause < SIM_HARD || cause > SIM_SOFT) {
        mp_raise_ValueError(NULL);
    }
    sim_reset(cause);
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_reset_obj, board_reset);

// cut(): the power goes, here and now.
static mp_obj_t board_cut(void) {
    on_cut(0);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_cut_obj, board_cut);

// interrupt(): as if Ctrl-C were pressed, at the end of the event that is being dispatched.
static mp_obj_t board_interrupt(void) {
    interrupt = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_interrupt_obj, board_interrupt);

// ---- start ----

static void read_command_line(void) {
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n;
    while (fd >= 0 && (n = read(fd, command_line + len, sizeof(command_line) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    close(fd);
    int count = 0;
    for (size_t at = 0; at < len && count < ARGS; at += strlen(command_line + at) + 1) {
        arguments[count++] = command_line + at;
    }
    if (count == 0 || count == ARGS || len == sizeof(command_line) - 1) {
        mp_raise_ValueError(MP_ERROR_TEXT("simulated board: command line too long"));
    }
}

// Field 22 of /proc/self/stat; the name in field 2 may hold blanks and brackets, so it starts behind it.
static uint64_t process_started(void) {
    char buf[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, buf, sizeof(buf) - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    char *p = strrchr(buf, ')');
    for (int field = 2; p != NULL && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

static void map_retained(const char *dir) {
    char path[512];
    snprintf(path, sizeof(path), "%s/retained.bin", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(sim_retained_t)) != 0) {
        mp_raise_OSError_with_filename(errno, path);
    }
    sim_retained_t *r = mmap(NULL, sizeof(sim_retained_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (r == MAP_FAILED) {
        mp_raise_OSError_with_filename(errno, path);
    }
    uint64_t start = process_started();
    if (r->magic == MAGIC && r->pid == getpid() && r->started == start && r->next_cause != 0) {
        sim_cause = r->next_cause;
    } else {
        uint32_t boots = r->magic == MAGIC ? r->boots : 0;
        memset(r, 0, sizeof(*r));
        r->boots = boots;
        // RAM comes up with noise in it, and whoever uses it must be able to tell.
        uint32_t noise = 0x9E3779B9u ^ boots;
        for (size_t i = 0; i < sizeof(r->memory); i++) {
            noise = noise * 1664525u + 1013904223u;
            r->memory[i] = (uint8_t)(noise >> 24);
        }
        r->magic = MAGIC;
        r->pid = getpid();
        r->started = start;
    }
    r->next_cause = 0;
    r->boots++;
    sim_retained = r;
}

// The kernel tells by SIGIO when world.json was written or renamed into place.
static void watch(const char *dir) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
        return;     // SIGUSR1 still works
    }
    watched = fcntl(fd, F_DUPFD_CLOEXEC, 600);
    close(fd);
    fcntl(watched, F_SETOWN, getpid());
    fcntl(watched, F_SETFL, O_NONBLOCK | O_ASYNC);
}

// start(dir) -> reset cause. dir: NODE_DIR/sim, an absolute path.
static mp_obj_t board_start(mp_obj_t dir_in) {
    if (started) {
        return MP_OBJ_NEW_SMALL_INT(sim_cause);
    }
    const char *dir = mp_obj_str_get_str(dir_in);
    read_command_line();
    // A board knows no time zone of its own: localtime() and mktime() are in UTC.
    setenv("TZ", "UTC0", 1);
    tzset();
    map_retained(dir);
    sim_state_dir = strdup(dir);
    terminal = tcgetattr(0, &terminal_before) == 0;
    if (!terminal) {
        errno = 0;
    }
    sim_radio_at_start();
    started = true;
    struct sigaction act = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO };
    sigemptyset(&act.sa_mask);
    (sigaction)(SIGNAL_TIMER, &act, NULL);
    handle(SIGNAL_WATCHDOG, on_watchdog);
    handle(SIGNAL_KICK, on_kick);
    if (!timer_make(&kicker, SIGNAL_KICK, 0)) {
        mp_raise_OSError(errno);
    }
    handle(SIGUSR1, on_world);
    handle(SIGIO, on_watch);
    handle(SIGUSR2, on_cut);
    handle(SIGTERM, on_end);
    handle(SIGHUP, on_end);
    handle(SIGINT, SIG_IGN);
    watch(dir);
    if (sim_cause == SIM_SOFT && sim_retained->wdt_ms > 0) {
        board_watchdog(mp_obj_new_int(sim_retained->wdt_ms));
    }
    return MP_OBJ_NEW_SMALL_INT(sim_cause);
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_start_obj, board_start);

// ---- the life of a board: boot.py, main.py, REPL, as in the ports' own main.c ----

static bool input_ended(void) {
    if (terminal) {
        struct pollfd p = { .fd = 0, .events = POLLIN };
        return (poll)(&p, 1, 0) > 0 && (p.revents & POLLHUP);
    }
    int left = 0;
    struct pollfd p = { .fd = 0, .events = POLLIN };
    return (poll)(&p, 1, 0) > 0 && (ioctl(0, FIONREAD, &left) != 0 || left == 0);
}

// run(repl, leave): leave ends the process with boot.py and main.py (status 1 if one of them failed).
static mp_obj_t board_run(mp_obj_t repl_in, mp_obj_t leave_in) {
    mp_globals_set(&MP_STATE_VM(dict_main));
    mp_locals_set(&MP_STATE_VM(dict_main));
    int boot = pyexec_file_if_exists("boot.py");
    int ret = boot;
    if (!(ret & PYEXEC_FORCED_EXIT)) {
        ret = pyexec_file_if_exists("main.py");
    }
    if (!(ret & PYEXEC_FORCED_EXIT)) {
        if (mp_obj_is_true(leave_in)) {
            sim_state_flush();
            console_restore();
            exit(boot == 1 && ret == 1 ? 0 : 1);
        }
        if (mp_obj_is_true(repl_in)) {
            do {
                sim_console_running(false);
                ret = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
            } while (ret == 0);
            if (input_ended()) {
                sim_state_flush();
                console_restore();
                exit(0);
            }
        } else {
            for (;;) {
                mp_hal_delay_ms(1000);
            }
        }
    }
    mp_hal_stdout_tx_str("MPY: soft reboot\r\n");
    sim_reset(SIM_SOFT);
}
static MP_DEFINE_CONST_FUN_OBJ_2(board_run_obj, board_run);

// ---- small things ----

static mp_obj_t board_on_event(mp_obj_t callback) {
    MP_STATE_VM(sim_on_event) = callback;
    sim_atomic_release();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_on_event_obj, board_on_event);

// retained() -> bytearray over the memory itself
static mp_obj_t board_retained(void) {
    return mp_obj_new_bytearray_by_ref(SIM_RETAINED_SIZE, sim_retained->memory);
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_retained_obj, board_retained);

// rtc([data]) -> bytes
static mp_obj_t board_rtc(size_t n_args, const mp_obj_t *args) {
    if (n_args == 0) {
        return mp_obj_new_bytes(sim_retained->rtc, (size_t)sim_retained->rtc_len);
    }
    mp_buffer_info_t data;
    mp_get_buffer_raise(args[0], &data, MP_BUFFER_READ);
    if (data.len > SIM_RTC_SIZE) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer too long"));
    }
    memcpy(sim_retained->rtc, data.buf, data.len);
    sim_retained->rtc_len = (int32_t)data.len;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(board_rtc_obj, 0, 1, board_rtc);

static mp_obj_t board_boots(void) {
    return MP_OBJ_NEW_SMALL_INT(sim_retained->boots);
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_boots_obj, board_boots);

static mp_obj_t board_pid(void) {
    return MP_OBJ_NEW_SMALL_INT(getpid());
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_pid_obj, board_pid);

// speed(factor)
static mp_obj_t board_speed(mp_obj_t factor_in) {
    mp_float_t factor = mp_obj_get_float(factor_in);
    if (!(factor >= (mp_float_t)0.01 && factor <= (mp_float_t)10000)) {
        mp_raise_ValueError(MP_ERROR_TEXT("speed: expected 0.01 to 10000"));
    }
    sim_clock_set_speed((double)factor);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_speed_obj, board_speed);

// set_clock(seconds since 1970[, microseconds])
static mp_obj_t board_set_clock(size_t n_args, const mp_obj_t *args) {
    int64_t ns = (int64_t)mp_obj_get_float(args[0]) * 1000000000LL;
    if (n_args > 1) {
        ns += (int64_t)mp_obj_get_int(args[1]) * 1000;
    }
    sim_clock_set_date(ns);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(board_set_clock_obj, 1, 2, board_set_clock);

// real(path) -> str: the absolute path of a host file, before the host's file system is unmounted
static mp_obj_t board_real(mp_obj_t path_in) {
    char *path = realpath(mp_obj_str_get_str(path_in), NULL);
    if (path == NULL) {
        mp_raise_OSError(errno);
    }
    mp_obj_t ret = mp_obj_new_str(path, strlen(path));
    free(path);
    return ret;
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_real_obj, board_real);

// held(function) -> a callable that does the same, with interrupts and Ctrl-C held back until it is done. For what is in
// Python here and in C on a board: MicroPython takes whatever its file system raises for "no such file".
typedef struct _held_obj_t {
    mp_obj_base_t base;
    mp_obj_t function;
} held_obj_t;

static mp_obj_t held_call(mp_obj_t self_in, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    held_obj_t *self = MP_OBJ_TO_PTR(self_in);
    unsigned long state = sim_atomic_begin();
    if (MP_STATE_MAIN_THREAD(mp_pending_exception) != MP_OBJ_NULL) {
        // It came just before, and must not be raised in here either.
        MP_STATE_MAIN_THREAD(mp_pending_exception) = MP_OBJ_NULL;
        interrupt = true;
    }
    nlr_buf_t nlr;
    mp_obj_t ret = mp_const_none;
    bool good = nlr_push(&nlr) == 0;
    if (good) {
        ret = mp_call_function_n_kw(self->function, n_args, n_kw, args);
        nlr_pop();
    }
    sim_atomic_end(state);
    if (!good) {
        nlr_jump(nlr.ret_val);
    }
    return ret;
}

static MP_DEFINE_CONST_OBJ_TYPE(held_type, MP_QSTR_held, MP_TYPE_FLAG_NONE, call, held_call);

static mp_obj_t board_held(mp_obj_t function) {
    held_obj_t *self = mp_obj_malloc(held_obj_t, &held_type);
    self->function = function;
    return MP_OBJ_FROM_PTR(self);
}
static MP_DEFINE_CONST_FUN_OBJ_1(board_held_obj, board_held);

static mp_obj_t board_isatty(void) {
    return mp_obj_new_bool(isatty(0));
}
static MP_DEFINE_CONST_FUN_OBJ_0(board_isatty_obj, board_isatty);

static const mp_rom_map_elem_t globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__simboard) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&board_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_run), MP_ROM_PTR(&board_run_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&board_reset_obj) },
    { MP_ROM_QSTR(MP_QSTR_cut), MP_ROM_PTR(&board_cut_obj) },
    { MP_ROM_QSTR(MP_QSTR_interrupt), MP_ROM_PTR(&board_interrupt_obj) },
    { MP_ROM_QSTR(MP_QSTR_watchdog), MP_ROM_PTR(&board_watchdog_obj) },
    { MP_ROM_QSTR(MP_QSTR_timer), MP_ROM_PTR(&board_timer_obj) },
    { MP_ROM_QSTR(MP_QSTR_TIMERS), MP_ROM_INT(SIM_EVENTS - SIM_TIMER_FIRST) },
    { MP_ROM_QSTR(MP_QSTR_on_event), MP_ROM_PTR(&board_on_event_obj) },
    { MP_ROM_QSTR(MP_QSTR_show), MP_ROM_PTR(&sim_show_obj) },
    { MP_ROM_QSTR(MP_QSTR_retained), MP_ROM_PTR(&board_retained_obj) },
    { MP_ROM_QSTR(MP_QSTR_rtc), MP_ROM_PTR(&board_rtc_obj) },
    { MP_ROM_QSTR(MP_QSTR_boots), MP_ROM_PTR(&board_boots_obj) },
    { MP_ROM_QSTR(MP_QSTR_pid), MP_ROM_PTR(&board_pid_obj) },
    { MP_ROM_QSTR(MP_QSTR_speed), MP_ROM_PTR(&board_speed_obj) },
    { MP_ROM_QSTR(MP_QSTR_set_clock), MP_ROM_PTR(&board_set_clock_obj) },
    { MP_ROM_QSTR(MP_QSTR_real), MP_ROM_PTR(&board_real_obj) },
    { MP_ROM_QSTR(MP_QSTR_held), MP_ROM_PTR(&board_held_obj) },
    { MP_ROM_QSTR(MP_QSTR_isatty), MP_ROM_PTR(&board_isatty_obj) },
    { MP_ROM_QSTR(MP_QSTR_air), MP_ROM_PTR(&sim_air_obj) },
    { MP_ROM_QSTR(MP_QSTR_abort), MP_ROM_PTR(&sim_abort_obj) },
    { MP_ROM_QSTR(MP_QSTR_host), MP_ROM_PTR(&sim_host_obj) },
    { MP_ROM_QSTR(MP_QSTR_forget_hosts), MP_ROM_PTR(&sim_forget_hosts_obj) },
    { MP_ROM_QSTR(MP_QSTR_listen), MP_ROM_PTR(&sim_listen_obj) },
    { MP_ROM_QSTR(MP_QSTR_uart), MP_ROM_PTR(&sim_uart_obj) },
    { MP_ROM_QSTR(MP_QSTR_fd_read), MP_ROM_PTR(&sim_fd_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_console), MP_ROM_PTR(&console_obj) },
    { MP_ROM_QSTR(MP_QSTR_fd_write), MP_ROM_PTR(&sim_fd_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_fd_any), MP_ROM_PTR(&sim_fd_any_obj) },
    { MP_ROM_QSTR(MP_QSTR_fd_close), MP_ROM_PTR(&sim_fd_close_obj) },
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t sim_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR__simboard, sim_module);
