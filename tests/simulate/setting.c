/* SPDX-License-Identifier: MIT */
#include "setting.h"

#include <string.h>

#include "common/buf.h"
#include "world.h"

const struct setting_profile setting_profiles[] = {
    {"w", SETTING_WORKER, true},
    {"v", SETTING_WORKER, true},
    {"c", SETTING_COMMAND, true},
    {"a", SETTING_AGENT, false},
};
_Static_assert(ARRAY_SIZE(setting_profiles) == SETTING_PROFILES, "a row each");

static size_t limits[SETTING_PROFILES], newest[SETTING_PROFILES];
static bool was_without[SETTING_PROFILES], forgets, has_few_events;

size_t setting_find(const char *profile)
{
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        if (strcmp(setting_profiles[i].name, profile) == 0)
            return i;
    EXPECT(false, "there is no profile %s", profile);
    return 0;
}

/* One of the values, or the calm one. */
#define CHOOSE(is_calm, calm, ...)                                                                 \
    ((is_calm)                                                                                     \
         ? (calm)                                                                                  \
         : ((const int[]){__VA_ARGS__})[world_below(sizeof((int[]){__VA_ARGS__}) / sizeof(int))])

static void setting_print_runner(enum setting_kind kind, bool is_calm, struct buf *out)
{
    static const char *const policies[] = {"allow", "reject", "ask"};

    switch (kind) {
    case SETTING_WORKER:
        buf_printf(out, "{\"type\":\"worker\",\"lease\":%d}", SETTING_LEASE_MS / 1000);
        break;
    case SETTING_COMMAND:
        buf_add_text(out, "{\"type\":\"command\",\"command\":[\"/bin/true\"]}");
        break;
    case SETTING_AGENT:
        buf_printf(out,
                   "{\"type\":\"acp\",\"command\":[\"/bin/true\"],\"startTimeout\":10,"
                   "\"stallTimeout\":%d,\"permissionTimeout\":20,\"permissions\":\"%s\","
                   "\"reuse\":%s%s}",
                   CHOOSE(is_calm, 60, 5, 60), is_calm ? "allow" : policies[world_below(3)],
                   world_one_in(2) ? "true" : "2",
                   !is_calm && world_one_in(3) ? ",\"mode\":\"default\"" : "");
    }
}

static void setting_print_profile(size_t i, bool is_calm, struct buf *out)
{
    static const char *const overflows[] = {"reject", "reroute", "evict"};
    int limit = CHOOSE(is_calm, 2, 1, 2, 3);

    newest[i] = (size_t)limit;
    limits[i] = limits[i] > newest[i] ? limits[i] : newest[i];
    buf_printf(out,
               "{\"name\":\"%s\",\"maxConcurrentTasks\":%d,\"minConcurrentTasks\":%d,"
               "\"queueLimit\":%d,\"overflow\":\"%s\",\"timeout\":%d,"
               "\"retry\":{\"maxAttempts\":%d,\"backoff\":%d,\"maxBackoff\":60},"
               "\"cooldown\":{\"min\":1,\"max\":%d},\"runner\":",
               setting_profiles[i].name, limit, CHOOSE(is_calm, 0, 0, 0, 1),
               CHOOSE(is_calm, 10000, 5, 20, 100),
               is_calm ? "reject" : overflows[world_below(ARRAY_SIZE(overflows))],
               setting_profiles[i].kind == SETTING_WORKER ? 3600 : CHOOSE(is_calm, 60, 8, 60),
               CHOOSE(is_calm, 3, 1, 3, 5), CHOOSE(is_calm, 1, 1, 30),
               CHOOSE(is_calm, 10, 10, 300));
    setting_print_runner(setting_profiles[i].kind, is_calm, out);
    buf_add_char(out, '}');
}

char *setting_make(bool is_calm)
{
    struct buf out = {0};
    int days = CHOOSE(is_calm, 30, 1, 30, 30), events = CHOOSE(is_calm, 10000, 20, 10000, 10000);
    bool is_first = true;

    forgets |= days == 1;
    has_few_events |= events < 10000;
    buf_printf(&out,
               "{\"agingInterval\":%d,\"linesPerPass\":%d,\"outputLimit\":%d,\"eventBuffer\":%d,"
               "\"killGrace\":%d,\"healthCheckInterval\":5,\"taskRetention\":{\"days\":%d},"
               "\"profiles\":[",
               SETTING_AGING_MS / 1000, CHOOSE(is_calm, 256, 1, 3, 256),
               CHOOSE(is_calm, 8388608, 1024, 8388608), events, CHOOSE(is_calm, 5, 0, 5), days);
    for (size_t i = 0; i < SETTING_PROFILES; i++) {
        if (!is_calm && setting_profiles[i].may_be_missing && world_one_in(4)) {
            was_without[i] = true;
            continue;
        }
        if (!is_first)
            buf_add_char(&out, ',');
        is_first = false;
        setting_print_profile(i, is_calm, &out);
    }
    buf_add_text(&out, "]}");
    return buf_take(&out);
}

size_t setting_limit(size_t profile)
{
    return limits[profile];
}

void setting_settle(size_t profile)
{
    limits[profile] = newest[profile];
}

bool setting_was_without(size_t profile)
{
    return was_without[profile];
}

bool setting_has_few_events(void)
{
    return has_few_events;
}

bool setting_forgets(void)
{
    return forgets;
}
