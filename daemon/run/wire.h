/* SPDX-License-Identifier: MIT */
/*
 * The messages between acpd, the supervisor and the keepers. All are the same program, so a message
 * is a struct; all sockets are SOCK_SEQPACKET, so a message arrives whole.
 */
#pragma once

#include <sys/types.h>

#include "common/macros.h"
#include "run/run.h"

/* acpd -> supervisor; a start is passed on to a keeper that is idle */
enum command_word {
    COMMAND_START = 1, /* run `id` in a keeper, with the descriptors below */
    COMMAND_ASK,       /* ping; answered by SUPERVISOR_ALIVE */
    COMMAND_DEADLINE,  /* kill all keepers at `id`, boottime ms */
    COMMAND_END,       /* the keeper of run `id` does not respond: kill it */
    COMMAND_LOOK,      /* it has not started run `id` yet: kill it if it is stopped */
};

struct command_message {
    uint64_t id;
    enum command_word word;
};

/* The descriptors of a start (SCM_RIGHTS). */
enum {
    START_CONTROL, /* the keeper's end of its control socket */
    START_SPEC,    /* a memory file: struct wire_spec and its strings */
    START_STDIN,   /* a memory file: the command's input */
    START_STDOUT,  /* the writing ends of two pipes */
    START_STDERR,
    START_FDS,
};

/* Followed by the NUL-terminated strings: argv, env, and the folder, if any. */
struct wire_spec {
    struct run_limits limits;
    int64_t grace_ms;
    uint32_t argc, envc;
    uint32_t has_cwd;
};

/* supervisor -> acpd */
enum supervisor_word {
    SUPERVISOR_READY = 1,  /* the lock is held */
    SUPERVISOR_NOT_FORKED, /* run `id` has no keeper, because of `error` */
    SUPERVISOR_LOST,       /* the keeper of run `id` has failed, and its family is gone */
    SUPERVISOR_ALIVE,
};

struct supervisor_message {
    uint64_t id;
    enum supervisor_word word;
    int error;
};

/* acpd -> keeper: one byte. A keeper that continues answers any of them with KEEPER_ALIVE. */
enum { ORDER_STOP = 's', ORDER_KILL = 'k', ORDER_ASK = 'a' };

/* Time to answer, and number of tries: after the machine was suspended, the first try may time out
 * before an answer is possible. */
#define WATCH_TIME                                                                                 \
    {                                                                                              \
        .tv_sec = 1                                                                                \
    }
#define WATCH_TRIES      5
#define WATCH_TRIES_SLOW 60

/* keeper -> supervisor: it has finished its run and can be given another one. */
struct keeper_notice {
    pid_t keeper;
};

/* keeper -> acpd */
enum keeper_word {
    KEEPER_STARTING = 1, /* value: the keeper's process id; before there is a command */
    KEEPER_STARTED,      /* value: the command's process id */
    KEEPER_NOT_STARTED,  /* value: an errno; the text says what failed. Nothing follows. */
    KEEPER_GONE,     /* value: the command's wait status; no descendant is left. The text, if any,
                      * says which limit was exceeded. */
    KEEPER_ORPHANED, /* the supervisor died and the family was killed; none is left */
    KEEPER_ALIVE,
};

struct keeper_message {
    enum keeper_word word;
    int value;
    char text[4096]; /* sent up to its NUL */
};

/** Waits for room. */
int wire_send(int fd, const void *message, size_t len);

/** Sends COMMAND_START with copies of the descriptors, without waiting. Of the errors, -EAGAIN,
 *  -ETOOMANYREFS, -ENOBUFS and -ENOMEM may pass. */
int wire_send_start(int fd, uint64_t id, const int fds[START_FDS]);

/** Receives a command; ret_fds: those of a start, which the caller closes. 1: a message; 0: the
 *  other end is gone; -EAGAIN: no message; -EMFILE: a start whose descriptors did not arrive,
 *  because this process has too many. */
int wire_receive_command(int fd, struct command_message *ret_message, int ret_fds[START_FDS]);
