/* SPDX-License-Identifier: MIT */
/*
 * Throttles guesses of tokens. Each address may send a few wrong tokens per minute, and all
 * addresses together some more; then they must wait. The table is bounded: a new address replaces
 * the one that started longest ago, so many addresses meet the shared limit.
 *
 * Not thread-safe: tokens.c has the lock.
 */
#pragma once

#include "common/macros.h"

struct guesses;

struct guesses *guesses_new(void);
void guesses_free(struct guesses *guesses);

/** Records a request without a valid token at `now` (monotonic ms); is_guess: with a wrong one.
 *  Returns the seconds that the address must wait; 0: none. *ret_is_news: it is the first wrong one
 *  of the address in this minute and should be logged. */
int guesses_note(struct guesses *guesses, const char *address, bool is_guess, int64_t now,
                 bool *ret_is_news);
