/* SPDX-License-Identifier: MIT */
/* Shared by run.c and supervisor.c, the two halves of acpd's side. */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/list.h"
#include "run/family.h"
#include "run/last_line.h"
#include "run/run.h"
#include "run/run_log.h"
#include "run/tail.h"
#include "run/wire.h"

/* Number of unanswered pings since the last answer. */
struct watch {
    struct event tick;
    int asked;
};

/** Whether to give up on the process: after some seconds if it is stopped, after a minute if it is
 * only slow, as on an overloaded machine. */
bool supervisor_watch_is_over(const struct watch *watch, pid_t pid);

struct supervisor {
    char *lock_path;
    uint64_t children_nofile;
    const struct cgroup *cgroup;
    mode_t umask; /* for children; acpd's own differs */
    pid_t pid;
    int command;             /* -1 when it died */
    bool ready, was_ready;   /* before it died */
    struct event_base *base; /* NULL before it was attached */
    struct event readable, writable, retry;
    struct watch watch;
    struct event burial;
    struct family orphans; /* below acpd, after its death; `spared` are not its children */
    int clean_scans, scans;
    void (*on_lost)(void *data);
    void *data;
    struct list runs;   /* all runs that have not ended */
    struct list unsent; /* those whose start waits for room in the socket */
    uint64_t last_id;
    int64_t deadline, told_deadline; /* boottime ms; 0: none */
};

/* What the supervisor's half reports to a run. */
struct run_ops {
    /** It was not started; the message is the usual one for the errno. */
    void (*refuse)(struct run *run, int error);
    /** Takes what its keeper has said. */
    void (*hear)(struct run *run);
    /** Its keeper was killed and the family is gone. */
    void (*lose)(struct run *run);
    /** Without calling its handler. */
    void (*free)(struct run *run);
};

struct run {
    struct list link, unsent_link;
    const struct run_ops *ops;
    struct supervisor *supervisor;
    uint64_t id;
    struct run_handler handler;
    int start_fds[START_FDS]; /* the keeper's, until they are sent; -1 then */
    int control;              /* -1 when the keeper closed it */
    struct stream {
        struct run *run;
        enum run_stream which;
        int fd; /* -1 at its end */
        struct event readable;
    } streams[RUN_STREAMS];
    bool is_dialog;
    int input; /* the writing end of stdin in a dialog, else -1 */
    bool input_ends;
    struct buf unwritten;
    struct event writable;
    struct event controlled, ending;
    struct event showing; /* of an unfinished line */
    struct watch watch;
    bool is_condemned; /* the supervisor should kill its keeper */
    struct run_log *log;
    struct tail tail, errors;              /* of stdout and stderr */
    struct last_line last_line;            /* of stdout */
    pid_t pid, keeper;                     /* 0 before they are there */
    bool has_ended, stop_sent, is_ordered; /* ordered: to end */
    struct run_end end;
    char *message; /* that `end` points to */
    char *program;
};

/** Sends the start now, or as soon as there is room. */
void supervisor_send_start(struct supervisor *supervisor, struct run *run);

/** It does not answer: the supervisor should kill its keeper. */
void supervisor_condemn(struct supervisor *supervisor, struct run *run);
/** Its keeper, which nobody knows yet, is to be killed if it is stopped. */
void supervisor_look(const struct supervisor *supervisor, const struct run *run);
/** Waits for an answer of the supervisor, with a deadline. */
void supervisor_expect(struct supervisor *supervisor);

/** Closes the remaining descriptors meant for the keeper. */
void supervisor_close_start_fds(struct run *run);
