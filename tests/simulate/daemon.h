/* SPDX-License-Identifier: MIT */
/*
 * An acpd within the simulation: loop, engine, rpc, store and the agents' protocol as they ship,
 * over the simulated disk, clocks and processes.
 */
#pragma once

#include "common/json.h"

/** Makes room on the disk. */
bool daemon_begin(void);
/** Removes what acpd leaves there. */
void daemon_end(void);
/** Starts it, as main.c does. False: the storage failed; the same again later. */
bool daemon_start(void);
/** One pass; returns whether there is more to do at once. */
bool daemon_pass(void);
/** A pass was committed, or failed. */
void daemon_note_commit(int r);
/** Number of passes that failed. */
uint64_t daemon_failed_commits(void);
/** For faults: sends the replies that wait for a commit. */
void daemon_send_replies(void);
/** kill -9: what was not written is lost. */
void daemon_kill(void);
/** SIGTERM: from now on it stops, pass by pass. */
void daemon_stop(void);
/** Whether it has stopped and leaves. */
bool daemon_has_stopped(void);
/** It leaves. */
void daemon_leave(void);
/** Where its state is. */
const char *daemon_folder(void);
/** The number of clients that it knows. */
size_t daemon_connections(void);
/** The configuration that the next reload or start reads. */
void daemon_configure(const char *json);
/** As SIGHUP does. */
void daemon_reload(void);
/** As acpd backup does: the tasks in the backup, as an array of {id, key, status}; NULL: it failed.
 */
struct json_object *daemon_back_up(void);
/** While acpd is not running: damages the row of the first task in the profile's queue; returns its
 *  id, or 0 if the queue is empty. */
int64_t daemon_damage(const char *profile);
/** And repairs it. */
void daemon_repair(int64_t id);
/** Connects a client; see socket.h. */
int daemon_connect(void);
