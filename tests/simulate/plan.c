/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void plan_init(struct plan *plan, uint64_t seed)
{
    *plan = (struct plan){.seed = seed, .clients = PLAN_CLIENTS};
    memset(plan->has_step, true, sizeof(plan->has_step));
}

size_t plan_count(const struct plan *plan)
{
    size_t count = 0;

    for (size_t i = 0; i < PLAN_STEPS; i++)
        count += plan->has_step[i];
    return count;
}

/* --- the file -----------------------------------------------------------------------------------
 */

/* What a file has said so far. */
struct reading {
    struct plan *plan;
    bool has_seed, has_steps, has_end;
};

/* "3 7-9": a list of steps. */
static bool plan_read_steps(struct plan *plan, char *text)
{
    for (char *state = NULL, *word = strtok_r(text, " \n", &state); word;
         word = strtok_r(NULL, " \n", &state)) {
        unsigned first, last;
        char rest;

        if (sscanf(word, "%u-%u%c", &first, &last, &rest) != 2) {
            if (sscanf(word, "%u%c", &first, &rest) != 1)
                return false;
            last = first;
        }
        if (first > last || last >= PLAN_STEPS)
            return false;
        memset(&plan->has_step[first], true, last - first + 1);
    }
    return true;
}

static bool plan_read_line(struct reading *reading, char *line)
{
    struct plan *plan = reading->plan;
    unsigned long long seed;
    char rest;

    if (line[0] == '#' || line[0] == '\0')
        return true;
    if (strcmp(line, "end") == 0)
        return reading->has_end = true;
    if (strncmp(line, "steps ", 6) == 0 && !reading->has_steps)
        return reading->has_steps = plan_read_steps(plan, line + 6);
    if (strncmp(line, "seed ", 5) == 0 && !reading->has_seed && isdigit((unsigned char)line[5])) {
        errno = 0;
        reading->has_seed = sscanf(line, "seed %llu%c", &seed, &rest) == 1 && !errno;
        plan->seed = seed;
        return reading->has_seed;
    }
    return sscanf(line, "clients %zu%c", &plan->clients, &rest) == 1 && plan->clients > 0 &&
           plan->clients <= PLAN_CLIENTS;
}

bool plan_read(const char *path, struct plan *ret_plan)
{
    FILE *file = fopen(path, "re");
    struct reading reading = {.plan = ret_plan};
    char line[8192];
    bool is_good = true;

    *ret_plan = (struct plan){.clients = PLAN_CLIENTS};
    if (!file) {
        perror(path);
        return false;
    }
    while (is_good && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        is_good = plan_read_line(&reading, line);
    }
    if (ferror(file))
        perror(path);
    else if (!is_good)
        fprintf(stderr, "%s: not a plan: %.80s\n", path, line);
    else if (!reading.has_seed || !reading.has_steps || !reading.has_end)
        fprintf(stderr, "%s: not a plan: it has no %s\n", path,
                !reading.has_seed    ? "seed"
                : !reading.has_steps ? "steps"
                                     : "end");
    is_good &= !ferror(file) && reading.has_seed && reading.has_steps && reading.has_end;
    fclose(file);
    return is_good;
}

void plan_print(const struct plan *plan, FILE *out)
{
    fprintf(out, "seed %llu\nclients %zu\nsteps", (unsigned long long)plan->seed, plan->clients);
    for (size_t first = 0, last; first < PLAN_STEPS; first = last + 1) {
        last = first;
        if (!plan->has_step[first])
            continue;
        while (last + 1 < PLAN_STEPS && plan->has_step[last + 1])
            last++;
        fprintf(out, last > first ? " %zu-%zu" : " %zu", first, last);
    }
    fputs("\nend\n", out);
}

/* --- making it smaller --------------------------------------------------------------------------
 */

/* Leaves out `width` of the steps that are there, from the `at`-th on. */
static void plan_cut(struct plan *plan, size_t at, size_t width)
{
    size_t number = 0;

    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (plan->has_step[i] && number++ >= at && number <= at + width)
            plan->has_step[i] = false;
}

void plan_shrink(struct plan *plan, bool (*fails)(const struct plan *plan), bool (*may_go_on)(void))
{
    struct plan smaller = *plan;

    while (may_go_on() && --smaller.clients && fails(&smaller))
        *plan = smaller;
    for (size_t width = plan_count(plan) / 2; width && may_go_on(); width /= 2) {
        /* From the end: what comes after the failure goes first. */
        for (size_t at = plan_count(plan); at && may_go_on();) {
            size_t cut = at < width ? at : width;

            at -= cut;
            smaller = *plan;
            plan_cut(&smaller, at, cut);
            if (fails(&smaller))
                *plan = smaller;
        }
    }
}
