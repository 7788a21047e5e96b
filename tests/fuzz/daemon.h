/* SPDX-License-Identifier: MIT */
/*
 * A daemon within the process, for the targets that talk to one: the real loop, engine and socket,
 * over a store in memory. It has no supervisor, so it plans and launches nothing; profiles of
 * workers need none.
 *
 * It is kept between inputs and replaced after DAEMON_INPUTS of them: findings rarely depend on
 * earlier inputs, and starting a daemon takes as long as many inputs.
 */
#pragma once

#include "common/buf.h"
#include "loop.h"

#define DAEMON_INPUTS 500

/** Call before each input. Returns true if it started a new daemon. */
bool daemon_prepare(void);
const struct settings *daemon_settings(void);
/** Makes commits fail, as on a full disk, or succeed again. */
void daemon_set_failing(bool is_failing);
/** Runs one pass without waiting; returns true if work is left for the next. */
bool daemon_pass(void);
/** Runs passes until all connections are gone, at most 10; returns how many are left. */
size_t daemon_connections(void);

/** Opens a non-blocking connection to its socket. */
int daemon_connect(void);
/** Appends what has arrived to *received; returns false if the daemon closed the connection. */
bool daemon_receive(int fd, struct buf *received);
