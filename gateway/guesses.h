/* SPDX-License-Identifier: MIT */
/*
 * Who guesses at tokens. Each address may be wrong a few times a minute, and all of them together
 * some more times; then they are to wait. The table is bounded: a new address takes the place of
 * the one that began longest ago, so that many addresses meet the bound that they share.
 *
 * Not thread-safe: tokens.c has the lock.
 */
#pragma once

#include "common/macros.h"

struct guesses;

struct guesses *guesses_new(void);
void guesses_free(struct guesses *guesses);

/** A request without a right token came at `now` (monotonic ms); is_guess: with a wrong one.
 *  Returns the seconds that the address is to wait, 0 for none. *ret_is_news: it is the address's
 *  first wrong one of this minute, and worth a line in the log. */
int guesses_note(struct guesses *guesses, const char *address, bool is_guess, int64_t now,
                 bool *ret_is_news);
