/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <string.h>

#include "common/alloc.h"
#include "common/strv.h"

uint64_t chance;

double random_fraction(void)
{
    return ((double)random_below(1u << 30) + 0.5) / (1u << 30);
}

const struct health_limits limits = {.wait_ms = 3600000, .lapse_ms = 300000};

struct profile *make_profile(const char *name, const char *capabilities)
{
    CLEANUP(freep) char *words = xstrdup(capabilities);
    struct profile_config config = {
        .name = xstrdup(name),
        .role = xstrdup("Tester"),
        .max_concurrent_tasks = 2,
        .priority = 3,
        .queue_limit = 10,
    };

    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        strv_push(&config.capabilities, xstrdup(word));
    return profile_new(&config);
}

void add_sample(struct metrics_window *window, bool success, int64_t duration_ms)
{
    metrics_window_add(window,
                       &(struct metrics_sample){.duration_ms = duration_ms, .success = success});
}

TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return tcase;
}
