/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#define NO_SEED UINT64_MAX

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

/* "3 7-9": a list of steps. */
static bool plan_read_steps(struct plan *plan, char *text)
{
    for (char *state = NULL, *word = strtok_r(text, " \n", &state); word;
         word = strtok_r(NULL, " \n", &state)) {
        char *end;
        unsigned long first = strtoul(word, &end, 10), last = first;

        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (*end || first > last || last >= PLAN_STEPS)
            return false;
        memset(&plan->has_step[first], true, last - first + 1);
    }
    return true;
}

static bool plan_read_line(struct plan *plan, char *line)
{
    unsigned long long seed;

    if (line[0] == '#' || line[0] == '\n')
        return true;
    if (sscanf(line, "seed %llu", &seed) == 1) {
        plan->seed = seed;
        return true;
    }
    if (strncmp(line, "steps", 5) == 0)
        return plan_read_steps(plan, line + 5);
    return sscanf(line, "clients %zu", &plan->clients) == 1 && plan->clients > 0 &&
           plan->clients <= PLAN_CLIENTS;
}

bool plan_read(const char *path, struct plan *ret_plan)
{
    FILE *file = fopen(path, "re");
    char line[8192];
    bool is_good = true;

    *ret_plan = (struct plan){.seed = NO_SEED, .clients = PLAN_CLIENTS};
    if (!file) {
        perror(path);
        return false;
    }
    while (is_good && fgets(line, sizeof(line), file))
        is_good = plan_read_line(ret_plan, line);
    fclose(file);
    if (!is_good)
        fprintf(stderr, "%s: not a plan: %s\n", path, line);
    else if (ret_plan->seed == NO_SEED)
        fprintf(stderr, "%s: not a plan: it has no seed\n", path);
    return is_good && ret_plan->seed != NO_SEED;
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
    fputc('\n', out);
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
