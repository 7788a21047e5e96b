/* SPDX-License-Identifier: MIT */
/*
 * An acpd within the simulation: loop, engine, rpc and store as they ship, over the simulated disk.
 * It has no supervisor; its profiles are workers'.
 */
#pragma once

#include "common/macros.h"

/** Starts it, as main.c does. False: the storage failed; the same again later. */
bool daemon_start(void);
/** One pass; returns whether there is more to do at once. */
bool daemon_pass(void);
/** For faults: sends the replies that wait for a commit. */
void daemon_release(void);
/** kill -9: what was not written is lost. */
void daemon_kill(void);
/** Removes what it leaves on the disk. */
void daemon_end(void);
/** The number of clients that it knows. */
size_t daemon_connections(void);
/** The configuration that the next reload or start reads. */
void daemon_configure(const char *json);
/** As SIGHUP does. */
void daemon_reload(void);
/** Connects to its socket, without blocking. */
int daemon_connect(void);
