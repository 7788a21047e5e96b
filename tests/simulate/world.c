/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <sys/types.h>
#include <unistd.h>

#include "tests/random.h"

#define START_WALL_MS INT64_C(1767225600000) /* 2026-01-01 */
#define START_MONO_US INT64_C(1000000000)
#define MEASURED_US   40 /* at most, for each look at the clock */

static struct {
    uint64_t seed;
    int64_t mono_us, wall_ahead_ms;
    void (*clean_up)(void);
    uint64_t trace;
} world;

uint64_t chance;

void world_begin(uint64_t seed, void (*clean_up)(void))
{
    world.clean_up = clean_up;
    world.seed = seed;
    chance =
        seed * UINT64_C(0x9e3779b97f4a7c15) | 1; /* seeds that follow each other must differ more */
    world.mono_us = START_MONO_US;
    world.trace = UINT64_C(0xcbf29ce484222325);
    world.wall_ahead_ms = START_WALL_MS - START_MONO_US / 1000;
}

void world_give_up(void)
{
    fprintf(stderr, "\nthe same again: ./dev simulate --seed %llu\n",
            (unsigned long long)world.seed);
    world.clean_up();
    _exit(EXIT_FAILURE);
}

uint64_t world_below(uint64_t limit)
{
    return random_below(limit);
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

/* FNV-1a. */
void world_note(const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        world.trace = (world.trace ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

uint64_t world_trace(void)
{
    return world.trace;
}

/* The linker puts these in the place of common/clock.c's and of the system's. */

int64_t __wrap_clock_mono_us(void);
int64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_wall_ms(void);
ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned flags);

int64_t __wrap_clock_mono_us(void)
{
    return world.mono_us += (int64_t)world_below(MEASURED_US);
}

int64_t __wrap_clock_mono_ms(void)
{
    return world.mono_us / 1000;
}

int64_t __wrap_clock_wall_ms(void)
{
    return world.mono_us / 1000 + world.wall_ahead_ms;
}

ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned flags UNUSED)
{
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)world_below(256);
    return (ssize_t)len;
}
