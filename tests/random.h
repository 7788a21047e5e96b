/* SPDX-License-Identifier: MIT */
/* Numbers that a seed decides: xorshift64*, so that a test does the same each time. */
#pragma once

#include <stdint.h>

extern uint64_t chance; /* the seed; not 0 */

static inline uint64_t random_below(uint64_t limit)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (chance * UINT64_C(2685821657736338717) >> 16) % limit;
}
