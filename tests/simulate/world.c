/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "tests/random.h"

#define START_WALL_MS INT64_C(1767225600000) /* 2026-01-01 */
#define START_MONO_US INT64_C(1000000000)
#define LOOK_US       40  /* at most, for each look at a clock */
#define SLOW_LOOK_US  400 /* the same on a slow machine, where a turn has time for a few */
#define SLOW_EVERY    4   /* worlds */
#define GOLDEN_GAMMA  UINT64_C(0x9e3779b97f4a7c15)

static struct {
    uint64_t seed, noise, looks;
    int64_t mono_us, wall_ahead_ms, look_us;
    void (*on_bad_end)(const char *place);
    uint64_t trace;
    bool is_told;
} world;

uint64_t chance;

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
uint64_t world_next(uint64_t *state)
{
    uint64_t mixed = *state += GOLDEN_GAMMA;

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* Numbers that follow each other must differ more. */
static uint64_t world_mix(uint64_t number)
{
    uint64_t state = (number - 1) * GOLDEN_GAMMA;

    return world_next(&state);
}

void world_begin(uint64_t seed, void (*on_bad_end)(const char *place))
{
    world.on_bad_end = on_bad_end;
    world.seed = seed;
    world.mono_us = START_MONO_US;
    world.look_us = world_mix(seed) % SLOW_EVERY ? LOOK_US : SLOW_LOOK_US;
    world.wall_ahead_ms = START_WALL_MS - START_MONO_US / 1000;
    world.trace = UINT64_C(0xcbf29ce484222325);
    world_step(0);
}

void world_end_badly(const char *file, int line, const char *condition, const char *format, ...)
{
    const char *slash = strrchr(file, '/');
    char place[64];
    va_list args;

    fflush(stdout);
    snprintf(place, sizeof(place), "%s:%d", slash ? slash + 1 : file, line);
    fprintf(stderr, "%s: not so: %s\n", place, condition);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    world.on_bad_end(place);
    _exit(EXIT_FAILURE);
}

void world_step(size_t number)
{
    chance = world_mix(world_mix(world.seed) + number) | 1;
}

unsigned char world_noise(void)
{
    return (unsigned char)world_mix(world.seed + ++world.noise);
}

uint64_t world_noise_below(uint64_t limit)
{
    return world_mix(world.seed + ++world.noise) % limit;
}

uint64_t world_below(uint64_t limit)
{
    return random_below(limit);
}

size_t world_draw(const struct world_row *rows, size_t count)
{
    uint64_t lot = world_below(UINT64_MAX);
    double best = INFINITY;
    size_t drawn = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t hash = lot;
        double score;

        for (const char *at = rows[i].name; *at; at++)
            hash = world_mix(hash ^ (unsigned char)*at);
        score = -log(((double)(hash >> 11) + 1) / 0x1p53) / rows[i].weight;
        if (score < best) {
            best = score;
            drawn = i;
        }
    }
    return drawn;
}

bool world_one_in(uint64_t times)
{
    return world_below(times) == 0;
}

void world_wait(int64_t ms)
{
    world.mono_us += ms * 1000;
}

void world_set_clock(int64_t by_ms)
{
    world.wall_ahead_ms += by_ms;
}

int64_t world_mono_ms(void)
{
    return world.mono_us / 1000;
}

uint64_t world_looks(void)
{
    return world.looks;
}

int64_t world_wall_ms(void)
{
    return world_mono_ms() + world.wall_ahead_ms;
}

/* FNV-1a. */
void world_note(const char *who, const void *bytes, size_t len)
{
    if (world.is_told)
        printf("%lld.%03lld %s %.*s\n", (long long)(world_mono_ms() / 1000),
               (long long)(world_mono_ms() % 1000), who, (int)len, (const char *)bytes);
    for (size_t i = 0; i < len; i++)
        world.trace = (world.trace ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

void world_tell(void)
{
    world.is_told = true;
}

uint64_t world_trace(void)
{
    return world.trace;
}

/* In the place of the C library's, for acpd and for libevent's timers. What acpd asks for leaves
 * the choices of a step alone, so that a plan survives changes of acpd. */

int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    int64_t us;

    world.looks++;
    us = world.mono_us +=
        (int64_t)(world_mix((uint64_t)world.mono_us) % (uint64_t)world.look_us) + 1;

    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        us += world.wall_ahead_ms * 1000;
    *ret_time = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    return 0;
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags UNUSED)
{
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)bytes)[i] = world_noise();
    return (ssize_t)len;
}
