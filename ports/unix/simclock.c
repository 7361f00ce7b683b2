// The clock of the simulated board. It can run faster than the wall ("speed" in world.json), so that a
// test of hours takes minutes, and its date can differ from the PC's.

#define _GNU_SOURCE // glibc hides ppoll and others otherwise

#include <errno.h>
#include <math.h>

#include "simboard.h"

static double speed = 1.0;
static int64_t real_start, real_base, sim_base;     // the board's clock starts at 0 with every start

static int64_t real_ns(clockid_t clock) {
    struct timespec ts;
    (clock_gettime)(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int64_t sim_clock_ns(void) {
    int64_t now = real_ns(CLOCK_MONOTONIC);
    if (real_start == 0) {
        real_start = real_base = now;
    }
    if (speed == 1.0) {
        return sim_base + (now - real_base);
    }
    return sim_base + (int64_t)((double)(now - real_base) * speed);
}

double sim_clock_speed(void) {
    return speed;
}

void sim_clock_set_speed(double new_speed) {
    int64_t now = sim_clock_ns();
    real_base = real_ns(CLOCK_MONOTONIC);
    sim_base = now;
    speed = new_speed;
}

// Date and time: the PC's at power-on, plus what the board set; from there on at the board's own speed.
static int64_t ahead(void) {
    int64_t sim = sim_clock_ns();
    return speed == 1.0 && sim_base == 0 ? 0 : sim - (real_ns(CLOCK_MONOTONIC) - real_start);
}

static int64_t date_ns(void) {
    return real_ns(CLOCK_REALTIME) + ahead() + (sim_retained ? sim_retained->clock_offset : 0);
}

void sim_clock_set_date(int64_t ns) {
    sim_retained->clock_offset += ns - date_ns();
}

// What the board's clock has gained on the PC's by its speed is not lost with the reset that now comes.
void sim_clock_before_reset(void) {
    sim_retained->clock_offset += ahead();
}

int sim_gettimeofday(struct timeval *tv, void *zone) {
    (void)zone;
    int64_t ns = date_ns();
    tv->tv_sec = (time_t)(ns / 1000000000LL);
    tv->tv_usec = (suseconds_t)(ns % 1000000000LL / 1000);
    return 0;
}

time_t sim_time(time_t *out) {
    time_t now = (time_t)(date_ns() / 1000000000LL);
    if (out != NULL) {
        *out = now;
    }
    return now;
}

int sim_clock_gettime(clockid_t clock, struct timespec *ts) {
    int64_t ns = clock == CLOCK_REALTIME ? date_ns() : sim_clock_ns();
    ts->tv_sec = (time_t)(ns / 1000000000LL);
    ts->tv_nsec = (long)(ns % 1000000000LL);
    return 0;
}

// Waits for real. A signal that came just before is not slept over: signals are blocked until ppoll
// itself lets them in, and what they had scheduled ends the wait at once with EINTR.
static int wait(struct pollfd *fds, nfds_t n, int64_t ns) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    int ret;
    if (MP_STATE_VM(sched_state) == MP_SCHED_PENDING) {
        errno = EINTR;
        ret = -1;
    } else {
        struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000LL), .tv_nsec = (long)(ns % 1000000000LL) };
        ret = ppoll(fds, n, ns < 0 ? NULL : &ts, &before);
    }
    int err = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return ret;
}

static int64_t to_real(int64_t ns) {
    return speed == 1.0 ? ns : (int64_t)((double)ns / speed);
}

int sim_poll(struct pollfd *fds, nfds_t n, int timeout_ms) {
    if (timeout_ms == 0) {
        return (poll)(fds, n, 0);
    }
    return wait(fds, n, timeout_ms < 0 ? -1 : to_real((int64_t)timeout_ms * 1000000LL));
}

// The port uses select() only to sleep, and expects the time left in *timeout after EINTR.
int sim_select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout) {
    if (n != 0 || timeout == NULL) {
        return (select)(n, r, w, e, timeout);
    }
    int64_t end = sim_clock_ns() + (int64_t)timeout->tv_sec * 1000000000LL + (int64_t)timeout->tv_usec * 1000;
    int64_t left = end - sim_clock_ns();
    int ret = wait(NULL, 0, to_real(left > 0 ? left : 0));
    left = end - sim_clock_ns();
    if (left < 0) {
        left = 0;
    }
    timeout->tv_sec = (time_t)(left / 1000000000LL);
    timeout->tv_usec = (suseconds_t)(left % 1000000000LL / 1000);
    return ret;
}

int sim_usleep(unsigned long us) {
    return wait(NULL, 0, to_real((int64_t)us * 1000));
}
