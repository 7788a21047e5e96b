/* SPDX-License-Identifier: MIT */
/* A subscriber: it takes events without gap or repetition, over hang-ups and restarts. */
#pragma once

#include "common/macros.h"

void watch_begin(void);
/** Connects if it is not connected, and takes what has arrived. */
void watch_read(void);
/** acpd is started anew: events may be missing. */
void watch_note_restart(void);
/** Hangs up. */
void watch_drop(void);
/** The number of the last event. */
int64_t watch_last(void);
/** How many it has taken. */
uint64_t watch_count(void);
