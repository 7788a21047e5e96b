/* SPDX-License-Identifier: MIT */
/*
 * This acpd among others that share its store.
 *
 * Each pass that writes is a sign of life; one without anything else to write comes often enough.
 * Who gives none for a lease is dead: another one removes its node and takes over what it ran. Its
 * own children have been killed before (supervisor_set_deadline()), and its store refuses to write.
 *
 * What others commit is heard from the news: each pass that changes tasks adds its events. They
 * make counters in memory right again, which are hints between two looks: what others may have
 * changed is checked where it is written. So a cancelled task is stopped wherever it runs.
 */
#pragma once

#include "engine/state.h"

void fleet_deinit(struct fleet *fleet);
/** Before anything is done in a pass: what the others have done meanwhile. */
void fleet_look(struct engine *engine);

/** Whether a node can have this name: any in a shared store, which it may join later; otherwise
 *  only this acpd's. */
bool fleet_may_have(const struct engine *engine, const char *name);
/** Whether the node of this name takes tasks, as of the last look. */
bool fleet_has(const struct engine *engine, const char *name);

/* Steps of the pass. */
int fleet_step(struct engine *engine);
void fleet_commit(struct engine *engine);
void fleet_rollback(struct engine *engine);
int64_t fleet_deadline(const struct engine *engine);
