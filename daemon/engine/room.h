/* SPDX-License-Identifier: MIT */
/* Room in the queues of profiles: a full one may have some for a task that comes before its last.
 */
#pragma once

#include "engine/state.h"

/** 1: the profile has room. 0: it has not, and *ret_last is the task to be evicted, or has the id
 * 0. */
int room_find(struct engine *engine, const struct profile *profile,
              const struct engine_admission *admission, struct task *ret_last);
/** Whether a profile takes the task of this struct engine_admission; for struct router_request. */
bool room_is_there(const struct profile *profile, void *admission);
