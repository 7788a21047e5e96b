/* SPDX-License-Identifier: MIT */
/* What happens in a world, as a file can say it: the seed, the number of clients, and the steps. */
#pragma once

#include <stdio.h>

#include "common/macros.h"

#define PLAN_STEPS   600
#define PLAN_CLIENTS 7

struct plan {
    uint64_t seed;
    size_t clients;
    bool has_step[PLAN_STEPS];
};

/** All steps of this seed. */
void plan_init(struct plan *plan, uint64_t seed);
size_t plan_count(const struct plan *plan);
/** False, with a message on stderr, if the file cannot be read or is no plan. */
bool plan_read(const char *path, struct plan *ret_plan);
void plan_print(const struct plan *plan, FILE *out);
/** Leaves out what is not needed for the failure, for as long as `may_go_on` says: fewer clients,
 *  then fewer steps (Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
 *  TSE 28, 2002). */
void plan_shrink(struct plan *plan, bool (*fails)(const struct plan *plan),
                 bool (*may_go_on)(void));
