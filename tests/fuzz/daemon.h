/* SPDX-License-Identifier: MIT */
/*
 * A daemon within the process, for the targets that talk to it: the real loop, engine and socket,
 * over a store in memory. It has no supervisor, so it plans and launches nothing; workers' profiles
 * need none.
 *
 * It lives on between inputs, and is renewed every DAEMON_INPUTS: what a finding depends on is
 * rarely older than its own input, and a daemon costs as much as many of them.
 */
#pragma once

#include "common/buf.h"
#include "loop.h"

#define DAEMON_INPUTS 500

/** Before each input: a new daemon when it is time for one. True: it is new. */
bool daemon_prepare(void);
const struct settings *daemon_settings(void);
/** From now on commits fail, as on a full disk; or no longer. */
void daemon_set_failing(bool is_failing);
/** One pass without waiting; returns whether lines are left for the next. */
bool daemon_pass(void);
/** Of those that are open at both ends, after the passes that this takes. */
size_t daemon_connections(void);

/** A connection to its socket, that does not block. */
int daemon_connect(void);
/** Adds what has arrived to *received; false: the daemon has closed the connection. */
bool daemon_receive(int fd, struct buf *received);
