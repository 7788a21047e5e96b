/* SPDX-License-Identifier: MIT */
/* Room in queues: a full one can make room for a task that ranks before its last one. */
#pragma once

#include "engine/state.h"

/** `waiting`: tasks in the queue. 1: it has room. 0: it is full, and *ret_last is the task to
 * evict, or has the id 0. */
MUST_CHECK int room_find(struct engine *engine, const struct profile *profile, int64_t waiting,
                         const struct engine_admission *admission, struct task *ret_last);
/** Whether a profile takes the task of this struct engine_admission; for struct router_request. */
bool room_is_there(const struct profile *profile, void *admission);
