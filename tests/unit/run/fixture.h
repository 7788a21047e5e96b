/* SPDX-License-Identifier: MIT */
/* Shared by the tests of runs: a supervisor, an event loop and a folder, and runs to wait for. */
#pragma once

#include <check.h>
#include <event2/event.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "run/run.h"

#define DEADLINE_MS    60000
#define CHILDREN_FILES 777
#define TAIL           65536
#define ARGV(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define SH(script) ARGV("sh", "-c", (script))
/* A grandchild in its own session whose parent has exited; its id is in $T/pid. */
#define STRAY                                                                                      \
    "setsid sh -c 'setsid sleep 1000 & echo $! > $T/new; mv $T/new $T/pid' & "                     \
    "until test -s $T/pid; do sleep 0.01; done; "

extern struct event_base *base;
extern struct supervisor *supervisor;
extern char folder[64];
extern char env_t[80];
extern char flee_word[80]; /* makes this binary a fleeing family; names the test's folder */
extern int files_before;
extern bool was_lost;

struct result {
    bool in_start; /* within run_start() */
    int ended;     /* number of calls of on_end */
    pid_t stray;   /* checked in on_end */
    bool stray_was_alive;
    enum run_outcome outcome;
    int code;
    char *message;
    struct buf output;
};

int count_files(void);
const char *in_folder(const char *name);
pid_t read_pid(const char *name);
pid_t parent_of(pid_t pid);
/** The number of processes with this parent, or, if 0, of fleeing ones. */
int count_processes(pid_t parent);
bool is_alive(pid_t pid);
void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *data UNUSED);
struct supervisor *new_supervisor(void);
void setup_folder(void);
void setup(void);
void teardown_folder(void);
void teardown(void);
void result_deinit(struct result *result);
void on_end(struct run *run UNUSED, const struct run_end *end, void *data);
struct run_spec spec_of(const char *const *argv);
struct run *start(const struct run_spec *spec, struct result *result);
void finish(struct result *result);
struct result run_spec(const struct run_spec *spec);
struct result run_argv(const char *const *argv);
/** The log without its times, which are checked. */
char *read_log(const char *path);

/* Runs the loop until the condition holds. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        struct event *tick_ = event_new(base, -1, EV_PERSIST, on_tick, NULL);                      \
        int64_t end_ = clock_mono_ms() + DEADLINE_MS;                                              \
        bool holds_;                                                                               \
        event_add(tick_, &(struct timeval){.tv_usec = 5000});                                      \
        while (!(holds_ = (condition)) && clock_mono_ms() < end_)                                  \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        event_free(tick_);                                                                         \
        ck_assert_msg(holds_, "still not: %s", #condition);                                        \
    } while (0)

#define assert_log(expected)                                                                       \
    do {                                                                                           \
        CLEANUP(freep) char *log_ = read_log(in_folder("log"));                                    \
        ck_assert_str_eq(log_, expected);                                                          \
    } while (0)
#define LINE(stream, text) "\"stream\":\"" stream "\",\"text\":\"" text "\"}\n"

#define assert_end(result, expected, number)                                                       \
    do {                                                                                           \
        ck_assert_int_eq((result).outcome, (expected));                                            \
        ck_assert_int_eq((result).code, (number));                                                 \
    } while (0)
#define assert_output(result, text) ck_assert_str_eq(buf_text(&(result).output), text)

/* The tests of each file, with a supervisor; `without`: they create it themselves. */

void add_command_tests(TCase *tcase);
void add_log_tests(TCase *tcase);
void add_family_tests(TCase *tcase, TCase *without);
