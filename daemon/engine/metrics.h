/* SPDX-License-Identifier: MIT */
/*
 * Counting per profile, and reading the history.
 *
 * The running minute is in memory, as of the last commit, and in the profile's row, which each pass
 * that counts something writes. Once it is over it becomes buckets: with the next pass that counts
 * something, or when old ones are forgotten. So readers of buckets add the minute. The same holds
 * for the longest of all queues together, of which the rows keep the greatest value.
 *
 * A bucket without tasks may mean that nothing happened or that acpd was not there, so the spans in
 * which it runs are rows of the store. Each start begins one; each minute, and the stop, extend it.
 * Setting the wall clock begins another one, so that no span covers time that did not pass.
 */
#pragma once

#include "engine/state.h"

/** At the start: the arrivals of the last hours, for the charts. */
MUST_CHECK int metrics_recall(struct engine *engine);

/** Makes buckets of the minutes that dead nodes have left. */
MUST_CHECK int metrics_inherit(struct engine *engine);

/** The profile's running minute, including the current pass. */
const struct metrics_minute *metrics_minute_of(const struct profile *profile);
/** Adds what the pass has counted of a profile to its minute, in memory and in its row. */
MUST_CHECK int metrics_keep(struct engine *engine, struct profile *profile);

/** Records that acpd is running and the lengths of the queues, and removes old rows, in the pass's
 * transaction. */
MUST_CHECK int metrics_step(struct engine *engine);
void metrics_commit(struct engine *engine);
void metrics_rollback(struct engine *engine);
/** When there is something to record. */
int64_t metrics_deadline(const struct engine *engine);
