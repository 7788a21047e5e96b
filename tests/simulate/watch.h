/* SPDX-License-Identifier: MIT */
/* Subscribers: they take events without gap or repetition, over hang-ups and restarts. To add a
 * kind, add a row to watch.c. */
#pragma once

#include "common/macros.h"

void watch_begin(void);
/** Those whose time it is connect if they are not connected, and take what has arrived. */
void watch_read(void);
/** acpd is started anew: events may be missing. */
void watch_note_restart(void);
/** One of them hangs up. */
void watch_hang_up(void);
/** All of them hang up. */
void watch_drop(void);
/** All take what has arrived, and have heard the same; they hang up. */
void watch_settle(void);
/** The first one, which follows everything, takes what has arrived. */
void watch_follow(void);
/** The number of the last event that the first one has taken. */
int64_t watch_last(void);
/** How many all of them have taken. */
uint64_t watch_count(void);
