/* SPDX-License-Identifier: MIT */
/*
 * What is written down once a minute, and what is read from the past.
 *
 * A bucket without tasks may mean that nothing happened or that acpd was not there, so the spans in
 * which it runs are rows of the store. Each start begins one; each minute, and the stop, move its
 * end along. A wall clock that is set begins another, so that no span covers time that did not
 * pass.
 */
#pragma once

#include "engine/state.h"

/** At the start: the arrivals of the last hours, for the charts. */
int metrics_recall(struct engine *engine);

/** Notes that acpd runs, how long the queues are, and forgets what is old: rows of the pass. */
int metrics_step(struct engine *engine);
void metrics_commit(struct engine *engine);
void metrics_rollback(struct engine *engine);
/** When there is something to note. */
int64_t metrics_deadline(const struct engine *engine);
