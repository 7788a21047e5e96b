/* SPDX-License-Identifier: MIT */
/* The audit log, against the calls and their replies: each write that was acknowledged is one line,
 * and nothing else is. */
#pragma once

#include "common/json.h"

void trail_begin(void);
/** All that was ever read is still there. */
void trail_end(void);
/** A call is sent; it may be done. */
void trail_sent(int64_t id, struct json_object *request);
/** Its reply. */
void trail_take(int64_t id, struct json_object *reply);
/** Reads what acpd has added. */
void trail_follow(void);
/** Whether the disk did not take all that acpd has written: the rest is in its memory. */
bool trail_is_behind(void);
/** acpd has ended: what was in its memory is lost. */
void trail_note_death(void);
/** The power fails: the log may lose its end, which was not synced. */
void trail_cut_power(void);
