/* SPDX-License-Identifier: MIT */
/*
 * Child processes and their families.
 *
 * A run is one execution of a command. run/ knows nothing of tasks: it takes a struct run_spec,
 * reports through callbacks, and guarantees that after on_end, or after acpd has died for any
 * reason, no descendant of the command is left, not even one that called setsid.
 *
 *   acpd ---- commands ----> supervisor        one, forked before anything grows
 *     |                        | fork          (single-threaded and small), or one that is idle
 *     +------- control ------ keeper           one per run at a time, a child subreaper
 *                              | posix_spawn
 *                            command ...       and whatever it starts
 *
 * The control socket is the keeper's lifeline: acpd stops a run by writing to it, and when it
 * closes because acpd died, the keeper kills the family at once. A keeper that is killed leaves its
 * family to the supervisor, and a supervisor to acpd: both are subreapers, too. A
 * stopped one does not answer pings, and is killed.
 */
#pragma once

#include "common/buf.h"
#include "common/macros.h"

struct cgroup;
struct event_base;
struct supervisor;
struct run;
struct run_log;

/* Limits of a command and its family; 0: none. Where they can be enforced: run_limits_check(). */
struct run_limits {
    int64_t memory;     /* bytes, of the family in a control group, else of each address space */
    int64_t processes;  /* and threads, of the family */
    int64_t cpu_s;      /* seconds of CPU time of each process */
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
    const char *log_path; /* the run's log, truncated; its folder is created if necessary */
    int64_t log_limit; /* limit of the log in bytes; the cut is marked, later output is dropped */
    size_t tail_limit; /* bytes of the end of stdout to keep in run_end.output */
    size_t line_limit; /* limit of run_end.line in bytes; 0: none */
    struct run_limits limits;
    int64_t grace_ms; /* between SIGTERM and SIGKILL when the run is stopped */
};

enum run_outcome {
    RUN_EXITED,      /* code: the exit status */
    RUN_SIGNALED,    /* code: the signal's number */
    RUN_NOT_STARTED, /* code: an errno; `message` says which step failed */
    RUN_LOST,        /* its keeper or the supervisor was killed, and then its family */
};

struct run_end {
    enum run_outcome outcome;
    int code;
    const char *message; /* for RUN_NOT_STARTED: the failed step and its error; for others NULL, or
                            the limit that was exceeded */
    const char *output;  /* the tail of stdout, valid UTF-8, not terminated */
    size_t output_len;
    const char *stderr_lines; /* of stderr; see run/stderr_lines.h. NULL: none */
    const char
        *line; /* the last non-empty line of stdout, without leading white space, not terminated,
                  any bytes; only its first byte unless it starts like a JSON object */
    size_t line_len;
    bool line_is_over; /* it exceeds the limit; `line` is its start */
};

struct run_handler {
    /* Of a dialog: receives the command's stdout, which then goes neither to the log nor to the
     * tail. Called from the event loop, before on_end. */
    void (*on_output)(struct run *run, const char *bytes, size_t len, void *data);
    /* May be NULL. Output has been added to the log; of a dialog that is stderr. */
    void (*on_log)(struct run *run, void *data);
    /* Called once, from the event loop, when the command has ended and its family is gone and its
     * output is in the log. The run is freed right after; `end` is valid during the call. */
    void (*on_end)(struct run *run, const struct run_end *end, void *data);
    void *data;
};

/*
 * Forks the supervisor: call it before threads, before the event loop and before memory grows (a
 * replacement is later forked from acpd as it is then). `lock_path` is a file that the supervisor
 * and its keepers keep locked (flock) until the last descendant is reaped; a new supervisor waits
 * for it without blocking the caller. `children_nofile` is the soft RLIMIT_NOFILE restored for
 * children. The control group gets a leaf for each run; without a path, none is used.
 */
MUST_CHECK int supervisor_new(const char *lock_path, uint64_t children_nofile,
                              const struct cgroup *cgroup, struct supervisor **ret_supervisor);
/** NULL if the limits can be enforced here, else the name of the first that cannot, and why. */
const char *run_limits_check(const struct run_limits *limits, const struct cgroup *cgroup,
                             const char **ret_reason);
/** Lets the supervisor report to this loop. If it dies or does not respond, its runs are ended and
 *  another one replaces it, which is ready a little later. `on_lost` is called if that fails:
 *  nothing can be started any more. */
MUST_CHECK int supervisor_attach(struct supervisor *supervisor, struct event_base *base,
                                 void (*on_lost)(void *data), void *data);
/** Whether the process descends from a run, or may have: true if it has ended. *ret_run is that
 *  run's id, or 0 if unknown. */
bool supervisor_is_above(const struct supervisor *supervisor, pid_t pid, uint64_t *ret_run);
/** Whether the lock is held and runs may be started. */
bool supervisor_is_ready(const struct supervisor *supervisor);
/** Kills all runs that exist at that time of clock_boot_ms(), even if acpd hangs; replaces an
 *  earlier one. */
void supervisor_set_deadline(struct supervisor *supervisor, int64_t boot_ms);
/** Closes the command socket. Running commands are killed, and their runs are freed without on_end.
 *  Does not wait. */
void supervisor_free(struct supervisor *supervisor);

/** Starts the command. All failures are reported by on_end, never from inside this call. The spec
 *  is not used after the call. The supervisor must be attached, but need not be ready. */
struct run *run_start(struct supervisor *supervisor, const struct run_spec *spec,
                      const struct run_handler *handler);
/** Stops the family: SIGTERM to all of it, SIGKILL after the grace. Idempotent. */
void run_stop(struct run *run);
/** SIGKILL to all of it, now. */
void run_kill(struct run *run);
/** Of a dialog: queues bytes for the command's stdin. Unread bytes, run_unread() of them, stay in
 *  memory and are dropped when stdin is closed or the run ends. */
void run_write(struct run *run, const void *data, size_t len);
size_t run_unread(const struct run *run);
/** Of a dialog: closes stdin after the queued bytes. */
void run_close_input(struct run *run);
/** The run's log, for entries of the caller. */
struct run_log *run_get_log(struct run *run);
/** Closes its log and starts another; also resets the kept end of stderr. */
void run_set_log(struct run *run, const char *path, int64_t limit);
/** The event loop of the run. */
struct event_base *run_get_base(struct run *run);
/** The run's number among those of the supervisor, from 1. */
uint64_t run_id(const struct run *run);
/** The command's process id, 0 before it started. */
pid_t run_pid(const struct run *run);
