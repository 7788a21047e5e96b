/* SPDX-License-Identifier: MIT */
/*
 * The audit log: a line of JSON for each write that somebody asked for and got. A pass stages its
 * own lines, and its commit appends them to the file, in one write, before their replies leave:
 * what was acknowledged stands in it. What a failed pass staged is dropped, as it never happened.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"

struct audit {
    char *path;
    int fd;             /* -1: not opened yet */
    int64_t size;       /* of the file */
    bool is_cut;        /* its last line is not whole yet */
    struct buf staged;  /* by the pass under way */
    struct buf pending; /* committed, and not written yet */
    int64_t dropped;    /* lines for which there was no room while the file could not be written */
    int failure;        /* negative errno of the last attempt to write, 0: it went well */
};

struct audit_entry {
    int64_t at; /* wall ms */
    uid_t uid;
    pid_t pid;
    const char *actor; /* on whose behalf, as the caller says; NULL: its own */
    const char *method;
    int64_t task_id;            /* what it is about; 0: no task */
    struct json_object *params; /* short values are written down, the rest is left out */
};

/** The file is opened with the first line. */
void audit_init(struct audit *audit, const char *path);
void audit_deinit(struct audit *audit);
void audit_stage(struct audit *audit, const struct audit_entry *entry);
/** Appends what was staged. At `limit` bytes the file becomes PATH.1 and another is begun. Does not
 *  fail: what cannot be written waits, within bounds, and `failure` says so. */
void audit_commit(struct audit *audit, int64_t limit);
void audit_rollback(struct audit *audit);
