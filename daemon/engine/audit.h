/* SPDX-License-Identifier: MIT */
/*
 * The audit log: one line of JSON for each successful write of a caller. A pass stages its lines,
 * and its commit appends them to the file, in one write, before their replies leave: every
 * acknowledged write is in the log. The lines of a failed pass are dropped.
 */
#pragma once

#include "common/buf.h"
#include "common/json_value.h"

struct audit {
    char *path;
    int fd;             /* -1: not opened yet */
    int64_t size;       /* of the file */
    bool is_cut;        /* its last line is incomplete */
    struct buf staged;  /* by the pass under way */
    struct buf pending; /* committed, and not written yet */
    int64_t dropped;    /* lines dropped for lack of room while the file could not be written */
    int failure;        /* negative errno of the last write; 0: success */
};

struct audit_entry {
    int64_t at; /* wall ms */
    uid_t uid;
    pid_t pid;
    const char *actor; /* on whose behalf, given by the caller; NULL: its own */
    const char *method;
    int64_t task_id;                 /* the task concerned; 0: none */
    const struct json_value *params; /* short values are logged, others omitted */
};

/** The file is opened when the first line is written. */
void audit_init(struct audit *audit, const char *path);
void audit_deinit(struct audit *audit);
void audit_stage(struct audit *audit, const struct audit_entry *entry);
/** Appends the staged lines. At `limit` bytes the file is renamed to PATH.1 and a new one is
 *  started. Does not fail: lines that cannot be written wait, up to a limit, and `failure` is set.
 */
void audit_commit(struct audit *audit, int64_t limit);
void audit_rollback(struct audit *audit);
