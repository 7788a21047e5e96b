/* SPDX-License-Identifier: MIT */
/*
 * The simulated world: one seed decides everything that happens in it. Its clocks move only when
 * they are told to, and by a little for each time that someone looks at them.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/macros.h"

/* Ends the world, unless the condition holds, and says why. */
#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            world_end_badly(__FILE__, __LINE__, #condition, " " __VA_ARGS__);                      \
    } while (0)

struct world_row {
    const char *name;
    unsigned weight;
};

/** `on_bad_end` is called if the world ends badly, with the place of what was not so. */
void world_begin(uint64_t seed, void (*on_bad_end)(const char *place));
_Noreturn void world_end_badly(const char *file, int line, const char *condition,
                               const char *format, ...) PRINTF_LIKE(4, 5);

/** From now on chance depends on the seed and on the number of this step alone, so that a step
 *  means the same after others have been left out. */
void world_step(size_t number);
/** A number from 0 to `limit` - 1. */
uint64_t world_below(uint64_t limit);
/** The row of a table that this step draws, by the rows' weights. What it draws depends on the
 * rows' names, so a row that is added takes some draws and leaves the others alone (weighted
 * rendezvous hashing). */
size_t world_draw(const struct world_row *rows, size_t count);
/** True once in `times`. */
bool world_one_in(uint64_t times);
/** The next number of a sequence of its own, by its `state`. */
uint64_t world_next(uint64_t *state);

/** A random byte for acpd, which leaves the choices of the step alone. */
unsigned char world_noise(void);
/** The same, below `limit`. */
uint64_t world_noise_below(uint64_t limit);

/** Time passes. */
void world_wait(int64_t ms);
/** Someone sets the wall clock. */
void world_set_clock(int64_t by_ms);
int64_t world_mono_ms(void);
int64_t world_wall_ms(void);
/** How often someone has looked at a clock. */
uint64_t world_looks(void);

/** Adds what has happened to the trace, of which only a hash is kept; `who` is for readers. */
void world_note(const char *who, const void *bytes, size_t len);
/** From now on prints the trace, too. */
void world_tell(void);
uint64_t world_trace(void);
