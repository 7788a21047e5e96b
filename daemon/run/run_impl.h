/* SPDX-License-Identifier: MIT */
/* What run.c and supervisor.c, the two halves of acpd's side, know of each other. */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/list.h"
#include "run/last_line.h"
#include "run/run.h"
#include "run/run_log.h"
#include "run/tail.h"
#include "run/wire.h"

struct supervisor {
    pid_t pid;
    int command; /* -1 when it died */
    bool ready;
    struct event_base *base; /* NULL before it was attached */
    struct event readable, writable, retry;
    void (*on_ready)(void *data);
    void (*on_lost)(void *data);
    void *data;
    struct list runs;   /* all that have not ended */
    struct list unsent; /* those whose start waits for room in the socket */
    uint64_t last_id;
};

struct run {
    struct list link, unsent_link;
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
    struct event showing; /* of a line whose end does not come */
    struct run_log *log;
    struct tail tail, errors;   /* of stdout and stderr */
    struct last_line last_line; /* of stdout */
    pid_t pid, keeper;          /* 0 before they are there */
    bool has_ended, stop_sent;
    struct run_end end;
    char *message; /* that `end` points to */
    char *program;
};

/** Sends the start now or when there is room. */
void supervisor_send_start(struct supervisor *supervisor, struct run *run);

/** on_end comes from the loop; only the first word counts. */
void run_settle(struct run *run, enum run_outcome outcome, int code);
/** The same for RUN_NOT_STARTED with the usual message. */
void run_settle_not_started(struct run *run, int error);
/** The supervisor says that the keeper was killed and the family is gone. */
void run_lose(struct run *run);
void run_close_start_fds(struct run *run);
/** Without a word to the handler. */
void run_free(struct run *run);
