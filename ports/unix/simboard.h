// Inside of the simulated board: what its C files share.

#ifndef COLDFRAME_SIMBOARD_H
#define COLDFRAME_SIMBOARD_H

#include "py/obj.h"
#include "py/runtime.h"

// Reset causes, with the numbers that the esp32 port gives them.
enum {
    SIM_POWER_ON = 1,
    SIM_HARD = 2,
    SIM_WATCHDOG = 3,
    SIM_DEEPSLEEP = 4,
    SIM_SOFT = 5,
};

#define SIM_RTC_SIZE        (2048)  // machine.RTC().memory(), as on an ESP32
#define SIM_RETAINED_SIZE   (8192)  // RAM that a reset leaves alone, as on an RP2040
#define SIM_LOG_SIZE        (4096)  // ... that the log has for itself, see cmodules/ringlog/mod_memory.c

// Lives in NODE_DIR/sim/retained.bin, mapped shared: it outlasts any reset of the process, even by the
// watchdog's signal, and is wiped when the board is powered on, which a new process id gives away.
typedef struct _sim_retained_t {
    uint32_t magic;
    int32_t pid;
    uint64_t started;       // start time of the process in kernel ticks: exec keeps it, pid reuse does not
    int32_t next_cause;     // what the reset now under way shall be reported as
    uint32_t boots;         // since this node's folder was made
    int32_t wdt_ms;         // running watchdog, which a soft reset does not stop; 0 = none
    int32_t rtc_len;
    int64_t clock_offset;   // ns added to the PC's clock; survives resets, as an RTC does
    uint8_t rtc[SIM_RTC_SIZE];
    uint8_t memory[SIM_RETAINED_SIZE + SIM_LOG_SIZE];   // the log's share is behind the program's
} sim_retained_t;

extern sim_retained_t *sim_retained;
extern int sim_cause;

// Events, by number. Timers of Python code have the numbers from SIM_TIMER_FIRST on.
enum {
    SIM_EVENT_WORLD = 0,    // world.json changed
    SIM_EVENT_STATE = 1,    // state.json is to be written
    SIM_TIMER_FIRST = 2,
    SIM_EVENTS = 30,        // they must fit the bits of a small int on a 32-bit build
};

void sim_raise_event(int event);                            // from a signal handler
bool sim_timer_set(int event, int32_t ms, bool periodic);   // ms <= 0 stops it
MP_NORETURN void sim_reset(int cause);                      // from anywhere, also from a signal handler

int64_t sim_clock_ns(void);                                 // monotonic, simulated
double sim_clock_speed(void);
void sim_clock_set_speed(double speed);
void sim_clock_before_reset(void);
void sim_clock_set_date(int64_t ns);                  // since 1970

void sim_radio_at_start(void);
bool sim_radio_before_reset(bool keep);                     // keep: connections die silently, without FIN
bool sim_is_inet(int fd);

bool sim_state_set(const char *key, const char *json);      // json NULL: remove the key
void sim_state_flush(void);
extern const char *sim_state_dir;

extern const mp_obj_fun_builtin_fixed_t sim_air_obj, sim_abort_obj;
extern const mp_obj_fun_builtin_fixed_t sim_host_obj, sim_forget_hosts_obj, sim_show_obj, sim_listen_obj;
extern const mp_obj_fun_builtin_fixed_t sim_uart_obj, sim_fd_read_obj, sim_fd_write_obj, sim_fd_any_obj, sim_fd_close_obj;

#endif
