/* SPDX-License-Identifier: MIT */
#include "setting.h"

#include <string.h>

#include "common/buf.h"
#include "core/settings.h"
#include "world.h"

#define DEFAULT_ATTEMPTS 3 /* also of tasks whose profile is not configured any more */

const struct setting_profile setting_profiles[] = {
    {"w", SETTING_WORKER, true},
    {"v", SETTING_WORKER, true},
    {"c", SETTING_COMMAND, true},
    {"a", SETTING_AGENT, false},
};
_Static_assert(ARRAY_SIZE(setting_profiles) == SETTING_PROFILES, "a row each");

/* What any configuration since the last setting_settle() says. */
static struct range {
    int slots_max, attempts_min, attempts_max;
    bool may[SETTING_ASK + 1]; /* by policy */
} ranges[SETTING_PROFILES];
static struct setting_values newest[SETTING_PROFILES];
static bool forgets, has_few_events;
static bool has_evicted[SETTING_PROFILES];

void setting_begin(void)
{
    forgets = world_one_in(2);
    has_few_events = world_one_in(2);
    memset(ranges, 0, sizeof(ranges));
    memset(newest, 0, sizeof(newest));
    memset(has_evicted, 0, sizeof(has_evicted));
}

/* So small that long texts are cheap. */
static const struct settings limits = {
    .title_limit = 300, .description_limit = 1000, .input_limit = 2000};

size_t setting_limit(size_t place)
{
    int64_t limit;

    memcpy(&limit, (const char *)&limits + place, sizeof(limit));
    return (size_t)limit;
}

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

static void setting_print_runner(enum setting_kind kind, bool is_calm,
                                 const struct setting_values *values, struct buf *out)
{
    static const char *const policies[] = {"allow", "reject", "ask"};
    int stall_timeout = CHOOSE(is_calm, 60, 5, 60);
    bool reuses_all = world_one_in(2), has_mode = !is_calm && world_one_in(3);

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
                   "\"stallTimeout\":%d,\"permissionTimeout\":60,\"permissions\":\"%s\","
                   "\"reuse\":%s%s}",
                   stall_timeout, policies[values->policy], reuses_all ? "true" : "2",
                   has_mode ? ",\"mode\":\"default\"" : "");
    }
}

static void setting_widen(struct range *range, const struct setting_values *values)
{
    if (values->slots > range->slots_max)
        range->slots_max = values->slots;
    if (!range->attempts_min || values->attempts < range->attempts_min)
        range->attempts_min = values->attempts;
    if (values->attempts > range->attempts_max)
        range->attempts_max = values->attempts;
    range->may[values->policy] = true;
}

static void setting_print_profile(size_t i, bool is_calm, struct buf *out)
{
    static const char *const overflows[] = {"reroute", "evict", "reject"};
    struct setting_values *values = &newest[i];
    const char *overflow = overflows[CHOOSE(is_calm, 2, 0, 1, 2)];
    int least = CHOOSE(is_calm, 0, 0, 0, 1), backoff = CHOOSE(is_calm, 1, 1, 30),
        cooldown = CHOOSE(is_calm, 1, 1, 300);
    int timeout = setting_profiles[i].kind == SETTING_WORKER
                      ? CHOOSE(is_calm, 3600, SETTING_TIMEOUT_MIN_MS / 1000, 3600)
                      : CHOOSE(is_calm, 60, 8, 60);

    *values = (struct setting_values){
        .is_there = true,
        .slots = CHOOSE(is_calm, 2, 1, 2, 3),
        .attempts = CHOOSE(is_calm, 3, 1, 3, 5),
        .queue_limit = CHOOSE(is_calm, 10000, 3, 5, 100),
        .rejects = strcmp(overflow, "reject") == 0,
        .policy = (enum setting_policy)CHOOSE(is_calm, SETTING_ALLOW, SETTING_ASK, SETTING_ASK,
                                              SETTING_ALLOW, SETTING_REJECT),
    };
    setting_widen(&ranges[i], values);
    has_evicted[i] |= strcmp(overflow, "evict") == 0;
    buf_printf(out,
               "{\"name\":\"%s\",\"capabilities\":[\"build\"],\"maxConcurrentTasks\":%d,"
               "\"minConcurrentTasks\":%d,"
               "\"queueLimit\":%d,\"overflow\":\"%s\",\"timeout\":%d,"
               "\"retry\":{\"maxAttempts\":%d,\"backoff\":%d,\"maxBackoff\":60},"
               "\"cooldown\":{\"min\":0.2,\"max\":%d},\"runner\":",
               setting_profiles[i].name, values->slots, least, values->queue_limit, overflow,
               timeout, values->attempts, backoff, cooldown);
    setting_print_runner(setting_profiles[i].kind, is_calm, values, out);
    buf_add_char(out, '}');
}

char *setting_make(bool is_calm)
{
    struct buf out = {0};
    int days = CHOOSE(is_calm || !forgets, 30, 1, 30),
        events = CHOOSE(is_calm || !has_few_events, 10000, 20, 10000),
        lines = CHOOSE(is_calm, 256, 1, 3, 256), output = CHOOSE(is_calm, 8388608, 1024, 8388608),
        grace = CHOOSE(is_calm, 5, 0, 5);
    bool is_first = true;

    buf_printf(&out,
               "{\"agingInterval\":%d,\"linesPerPass\":%d,\"outputLimit\":%d,\"eventBuffer\":%d,"
               "\"killGrace\":%d,\"healthCheckInterval\":5,\"taskRetention\":{\"days\":%d},"
               "\"titleLimit\":%lld,\"descriptionLimit\":%lld,\"inputLimit\":%lld,"
               "\"auditLimit\":65536,\"profiles\":[",
               SETTING_AGING_MS / 1000, lines, output, events, grace, days,
               (long long)limits.title_limit, (long long)limits.description_limit,
               (long long)limits.input_limit);
    for (size_t i = 0; i < SETTING_PROFILES; i++) {
        if (!is_calm && setting_profiles[i].may_be_missing && world_one_in(4)) {
            newest[i] = (struct setting_values){.slots = 1, .attempts = DEFAULT_ATTEMPTS};
            setting_widen(&ranges[i], &newest[i]);
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

const struct setting_values *setting_newest(size_t profile)
{
    return &newest[profile];
}

int setting_slots_max(size_t profile)
{
    return ranges[profile].slots_max;
}

int setting_attempts_min(size_t profile)
{
    return ranges[profile].attempts_min;
}

int setting_attempts_max(size_t profile)
{
    return ranges[profile].attempts_max;
}

bool setting_may(size_t profile, enum setting_policy policy)
{
    return ranges[profile].may[policy];
}

bool setting_has_evicted(size_t profile)
{
    return has_evicted[profile];
}

void setting_settle(size_t profile)
{
    if (!newest[profile].is_there)
        return; /* what it was like holds for its tasks */
    ranges[profile] = (struct range){0};
    setting_widen(&ranges[profile], &newest[profile]);
}

bool setting_has_few_events(void)
{
    return has_few_events;
}

bool setting_forgets(void)
{
    return forgets;
}
