/* SPDX-License-Identifier: MIT */
/*
 * Child processes and their families.
 *
 * A run is one execution of a command. run/ knows nothing of tasks: it takes a struct run_spec,
 * reports through callbacks, and promises that when on_end has been called, or when acpd has died
 * in whatever way, no descendant of the command is left, not even one that called setsid.
 *
 *   acpd ---- commands ----> supervisor        one, forked before anything grows
 *     |                        | fork          (single-threaded, small: forking it is cheap)
 *     +------- control ------ keeper           one a run, a child subreaper
 *                              | posix_spawn
 *                            command ...       and whatever it starts
 *
 * The control socket is the keeper's life line: acpd stops a run by writing to it, and when it
 * closes because acpd died, the keeper kills the family at once. A keeper that is killed leaves its
 * family to the supervisor, and a supervisor to acpd: both are subreapers, too. One that was
 * stopped does not answer when it is asked, and is killed.
 */
#pragma once

#include "common/buf.h"
#include "common/macros.h"

struct cgroup;
struct event_base;
struct supervisor;
struct run;
struct run_log;

/* Bounds of what a command and its family use; 0: none. Which of them hold where:
 * run_limits_check(). */
struct run_limits {
    int64_t memory; /* bytes: of the family in a control group, else of each process's addresses */
    int64_t processes;  /* and threads, of the family */
    int64_t cpu_s;      /* seconds of processor time of each process */
    int64_t open_files; /* of each process */
};

/* Seconds that a process has between SIGXCPU and SIGKILL. */
#define RUN_CPU_GRACE_S 5

struct run_spec {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up on PATH */
    const char *const *env;  /* NULL-terminated; "KEY=value" is added to the inherited environment,
                              * "KEY"  taken away from it */
    const char *cwd;         /* NULL: as acpd's */
    const void *input;       /* what the command reads on stdin, then end of file */
    size_t input_len;
    bool is_dialog;       /* stdin stays open, for run_write(), and stdout goes to on_output */
    const char *log_path; /* the run's log, created anew; its folder is made if need be */
    int64_t log_limit;    /* bytes of log; the cut is marked, later output is dropped */
    size_t tail_limit;    /* bytes of the end of stdout that run_end.output holds */
    size_t line_limit;    /* bytes that run_end.line may have; 0: it has none */
    struct run_limits limits;
    int64_t grace_ms; /* between SIGTERM and SIGKILL when the run is stopped */
};

enum run_outcome {
    RUN_EXITED,      /* code: the exit status */
    RUN_SIGNALED,    /* code: the signal's number */
    RUN_NOT_STARTED, /* code: an errno; `message` says which step failed */
    RUN_LOST,        /* its keeper or the supervisor was killed, and then the family */
};

struct run_end {
    enum run_outcome outcome;
    int code;
    const char *message; /* for RUN_NOT_STARTED: which step failed, and why; for the others NULL, or
                          * that a limit was exceeded */
    const char *output;  /* the tail of stdout, valid UTF-8, not terminated */
    size_t output_len;
    const char *stderr_lines; /* of stderr; see run/stderr_lines.h. NULL: there are none */
    const char *line; /* the last line of stdout that is not empty, without the white space before
                       * it and not terminated; only its first byte when it does not begin like
                       * JSON's objects do; any bytes */
    size_t line_len;
    bool line_is_over; /* it is longer than the limit; `line` is its beginning */
};

struct run_handler {
    /* Of a dialog: takes what the command wrote to stdout, which then goes neither into the log
     * nor into the tail. Called from the event loop, before on_end. */
    void (*on_output)(struct run *run, const char *bytes, size_t len, void *data);
    /* May be NULL. Output has been added to the log; of a dialog that is stderr. */
    void (*on_log)(struct run *run, void *data);
    /* Called once, from the event loop, when the command has ended and its family is gone and its
     * output is in the log. The run is freed right after; `end` is valid during the call. */
    void (*on_end)(struct run *run, const struct run_end *end, void *data);
    void *data;
};

/*
 * The supervisor is forked by this call: call it before threads, before the event loop and before
 * memory grows (another one, if need be, is a copy of what acpd is by then). `lock_path` is a file
 * that the supervisor and its keepers hold locked (flock) until the last descendant is reaped; a
 * new supervisor waits for it without blocking the caller. `children_nofile` is the soft
 * RLIMIT_NOFILE that children get back. The group, divided, has a leaf for each run; one without a
 * path is none.
 */
int supervisor_new(const char *lock_path, uint64_t children_nofile, const struct cgroup *cgroup,
                   struct supervisor **ret_supervisor);
/** NULL when the limits can be kept here, else the name of the first that cannot, and why. */
const char *run_limits_check(const struct run_limits *limits, const struct cgroup *cgroup,
                             const char **ret_reason);
/** Lets the supervisor report to this loop. When it dies, or does not answer, what it ran is ended
 *  and another takes its place, which is ready a little later. `on_lost` is called when there is
 *  none: nothing can be started any more. */
int supervisor_attach(struct supervisor *supervisor, struct event_base *base,
                      void (*on_lost)(void *data), void *data);
/** Whether the process descends from a run, or may have: true when it has ended. *ret_keeper is the
 *  keeper that it descends from, as run_keeper(), or 0 when that cannot be told. */
bool supervisor_is_above(const struct supervisor *supervisor, pid_t pid, pid_t *ret_keeper);
/** Whether the lock is held and runs may be started. */
bool supervisor_is_ready(const struct supervisor *supervisor);
/** Closes the command socket; what still runs is killed, and its runs are freed without on_end.
 *  Does not wait. */
void supervisor_free(struct supervisor *supervisor);

/** Starts the command. Whatever fails, now or later, is reported by on_end, never from inside this
 *  call. The spec is not needed after it. The supervisor must be attached; it need not be ready. */
struct run *run_start(struct supervisor *supervisor, const struct run_spec *spec,
                      const struct run_handler *handler);
/** Asks the family to end: SIGTERM to all of it, SIGKILL after the grace. Idempotent. */
void run_stop(struct run *run);
/** SIGKILL to all of it, now. */
void run_kill(struct run *run);
/** Of a dialog: queues bytes for the command's stdin. What the command does not read waits in
 *  memory, run_unread() bytes of it, and is dropped when stdin is closed or the run ends. */
void run_write(struct run *run, const void *data, size_t len);
size_t run_unread(const struct run *run);
/** Of a dialog: end of file on stdin, after what was written. */
void run_close_input(struct run *run);
/** The run's log, for what the caller has to add to it. */
struct run_log *run_get_log(struct run *run);
/** Ends its log and begins another, and with it what is remembered of stderr. */
void run_set_log(struct run *run, const char *path, int64_t limit);
/** The event loop that the run lives in. */
struct event_base *run_get_base(struct run *run);
/** The process id of the run's keeper, 0 before there is one. */
pid_t run_keeper(const struct run *run);
/** The command's process id, 0 before it started. */
pid_t run_pid(const struct run *run);
