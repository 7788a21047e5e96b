/* SPDX-License-Identifier: MIT */
/*
 * The disk under SQLite: the system's, behind a VFS that fails on order and remembers what was not
 * synced (https://www.sqlite.org/vfs.html).
 */
#pragma once

#include "common/macros.h"

/** Becomes SQLite's usual VFS. */
void disk_install(void);

enum disk_state {
    DISK_GOOD,
    DISK_FULL,        /* writes fail with SQLITE_FULL, some after a part of them */
    DISK_FAILING,     /* a part of the reads, writes and syncs fail with SQLITE_IOERR */
    DISK_NOT_SYNCING, /* syncs fail */
    DISK_SLOW,        /* reads, writes and syncs take their time */
    DISK_GONE,        /* nothing reaches it: the process is dead, and is being taken down */
};

void disk_set(enum disk_state state);
enum disk_state disk_get(void);
/** The power fails: each sector that was not synced is there or not. */
void disk_cut_power(void);
/** Whether no sync has succeeded since one failed. */
bool disk_owes_sync(void);
/** Number of operations that failed on order. */
uint64_t disk_failures(void);
/** Bytes in memory for what is not synced, about. */
size_t disk_memory(void);
