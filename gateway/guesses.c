/* SPDX-License-Identifier: MIT */
#include "gateway/guesses.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"

#define ADDRESSES   256
#define MINUTE      60000 /* ms */
#define ADDRESS_MAX 10    /* wrong tokens per minute from one address */
#define OVERALL_MAX 100   /* and from all of them */

/* A minute and its wrong tokens. */
struct minute {
    int64_t since;
    int count;
};

struct guesser {
    char address[48]; /* as civetweb prints it */
    struct minute minute;
};

struct guesses {
    struct guesser guessers[ADDRESSES];
    size_t count;
    struct minute overall;
};

struct guesses *guesses_new(void)
{
    return xcalloc(1, sizeof(struct guesses));
}

void guesses_free(struct guesses *guesses)
{
    free(guesses);
}

static struct guesser *guesses_find(struct guesses *guesses, const char *address)
{
    for (size_t i = 0; i < guesses->count; i++)
        if (strcmp(guesses->guessers[i].address, address) == 0)
            return &guesses->guessers[i];
    return NULL;
}

static struct guesser *guesses_add(struct guesses *guesses, const char *address)
{
    struct guesser *place = guesses->guessers;

    if (guesses->count < ADDRESSES)
        place = &guesses->guessers[guesses->count++];
    for (size_t i = 0; i < guesses->count; i++)
        if (guesses->guessers[i].minute.since < place->minute.since)
            place = &guesses->guessers[i];
    *place = (struct guesser){0};
    snprintf(place->address, sizeof(place->address), "%s", address);
    return place;
}

/* Begins a new minute when the last one is over. */
static void guesses_turn(struct minute *minute, int64_t now)
{
    if (!minute->count || now - minute->since >= MINUTE)
        *minute = (struct minute){.since = now};
}

static int guesses_seconds_left(const struct minute *minute, int64_t now)
{
    return (int)((minute->since + MINUTE - now + 999) / 1000);
}

int guesses_note(struct guesses *guesses, const char *address, bool is_guess, int64_t now,
                 bool *ret_is_news)
{
    struct guesser *guesser = guesses_find(guesses, address);

    *ret_is_news = false;
    if (guesser) {
        guesses_turn(&guesser->minute, now);
        if (guesser->minute.count >= ADDRESS_MAX)
            return guesses_seconds_left(&guesser->minute, now);
    }
    if (!is_guess)
        return 0;
    guesses_turn(&guesses->overall, now);
    if (guesses->overall.count >= OVERALL_MAX)
        return guesses_seconds_left(&guesses->overall, now);
    if (!guesser) {
        guesser = guesses_add(guesses, address);
        guesses_turn(&guesser->minute, now);
    }
    guesses->overall.count++;
    *ret_is_news = guesser->minute.count++ == 0;
    return 0;
}
