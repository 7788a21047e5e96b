/* SPDX-License-Identifier: MIT */
/*
 * This acpd among others that share its store.
 *
 * Every committed pass is a sign of life; an idle node commits an empty one. A node silent for a
 * lease is dead: another node removes its row and takes over its tasks. By then its supervisor has
 * killed its processes (supervisor_set_deadline()), and its store rejects writes.
 *
 * Nodes learn of each other's commits from the news: each pass that changes tasks adds its events.
 * In-memory counters are hints; whatever other nodes may have changed is checked when it is
 * written. A cancelled task is stopped wherever it runs.
 */
#pragma once

#include "engine/state.h"

void fleet_deinit(struct fleet *fleet);
/** Called at the start of a pass: reads what other nodes have committed. */
void fleet_look(struct engine *engine);

/** Whether a node can have this name: any in a shared store, which it may join later; otherwise
 *  only this acpd's. */
bool fleet_may_have(const struct engine *engine, const char *name);
/** Whether the node of this name takes tasks, as of the last look. */
bool fleet_has(const struct engine *engine, const char *name);

/* Steps of the pass. */
MUST_CHECK int fleet_step(struct engine *engine);
void fleet_commit(struct engine *engine);
void fleet_rollback(struct engine *engine);
int64_t fleet_deadline(const struct engine *engine);
