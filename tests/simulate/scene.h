/* SPDX-License-Identifier: MIT */
/* What happens in a world: its clients, its operator, its disk and its clocks. */
#pragma once

#include "cover.h"
#include "plan.h"

/* Of all worlds; shared by their processes. */
struct scene_sums {
    uint64_t worlds, calls, acknowledged, attempts, events, kills, cuts, stops, failed_commits,
        failures, trace;
    /* Of the last world that ended badly: where, and in which step. */
    char place[64];
    size_t step;
    struct cover cover;
};

/** Plays the world to its end; does not return if it ends badly. */
void scene_play(const struct plan *plan, struct scene_sums *sums);
