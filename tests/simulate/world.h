/* SPDX-License-Identifier: MIT */
/*
 * The simulated world: one seed decides everything that happens in it. Its clocks move only when
 * they are told to, and by a little for each time that acpd measures something.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/macros.h"

/* Ends the simulation, unless the condition holds; says why, and how to repeat it. */
#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (condition)                                                                             \
            break;                                                                                 \
        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                    \
        fprintf(stderr, " " __VA_ARGS__);                                                          \
        world_give_up();                                                                           \
    } while (0)

/** `clean_up` is called if the simulation gives up. */
void world_begin(uint64_t seed, void (*clean_up)(void));
_Noreturn void world_give_up(void);

/** A number from 0 to `limit` - 1. */
uint64_t world_below(uint64_t limit);
/** True once in `times`. */
bool world_one_in(uint64_t times);

/** Time passes. */
void world_wait(int64_t ms);
/** Someone sets the wall clock. */
void world_set_clock(int64_t by_ms);
int64_t world_mono_ms(void);

/** Adds what has happened to the trace, of which only a hash is kept. */
void world_note(const void *bytes, size_t len);
uint64_t world_trace(void);
