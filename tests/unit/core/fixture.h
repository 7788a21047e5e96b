/* SPDX-License-Identifier: MIT */
/* Shared by the tests of core/. */
#pragma once

#include <check.h>

#include "core/metrics.h"
#include "core/profile.h"
#include "tests/random.h"

#define NEARLY_ONE (1 - 0x1p-53)
#define EXACT      1e-15

/** In (0, 1). */
double random_fraction(void);

extern const struct health_limits limits;
/** Capabilities are separated by spaces; the caller frees the profile. */
struct profile *make_profile(const char *name, const char *capabilities);
void add_sample(struct metrics_window *window, bool success, int64_t duration_ms);

/** Adds a case to the suite. */
TCase *add_case(Suite *suite, const char *name);

/* The cases of each file. */

void add_task_cases(Suite *suite);
void add_profile_cases(Suite *suite);
void add_metrics_cases(Suite *suite);
void add_metrics_blob_cases(Suite *suite);
void add_anomaly_cases(Suite *suite);
void add_forecast_cases(Suite *suite);
void add_router_cases(Suite *suite);
