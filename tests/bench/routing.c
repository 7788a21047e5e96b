/* SPDX-License-Identifier: MIT */
/*
 * Routing, simulated by discrete events: tasks arrive, a policy sends each to a profile, profiles
 * run them in slots, fail, retry and cool down. A failed task is submitted again at once, until it
 * succeeds. Router, forecast, retry, health and cooldown are acpd's own. With the same seed, every
 * policy gets the same arrivals, and a task takes the same time at a profile whichever policy sends
 * it there (common random numbers).
 *
 *     routing [--seeds N] [--tasks N] [--spread SIGMA] [--load-weight W]
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "config/config.h"
#include "routing.h"

#define SEEDS_MAX 1000

/* --- figures --------------------------------------------------------------------------------- */

struct outcome {
    double mean, p95; /* seconds from arrival to success */
    double failed;    /* tasks */
};

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double quantile(double *values, size_t count, double fraction)
{
    if (!count)
        return NAN;
    qsort(values, count, sizeof(*values), compare_doubles);
    return values[(size_t)(fraction * (double)(count - 1) + 0.5)];
}

static struct outcome outcome_of(const struct world *world)
{
    CLEANUP(freep) double *times = xcalloc(world->job_count, sizeof(*times));
    struct outcome outcome = {.failed = (double)world->failed};

    for (size_t i = 0; i < world->job_count; i++) {
        times[i] = (double)(world->jobs[i].ends - world->jobs[i].arrived) / 1000;
        outcome.mean += times[i] / (double)world->job_count;
    }
    outcome.p95 = quantile(times, world->job_count, 0.95);
    return outcome;
}

struct mean {
    double value, half_width; /* of the 95 % interval */
};

/* Student's t for 95 %, by the usual expansion from the normal quantile. */
static double student(double freedom)
{
    const double z = 1.959964;

    return z + (z * z * z + z) / (4 * freedom) +
           (5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * freedom * freedom);
}

static struct mean mean_of(const double *values, size_t count)
{
    struct mean mean = {0};
    double squares = 0;

    for (size_t i = 0; i < count; i++)
        mean.value += values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean.value) * (values[i] - mean.value);
    if (count > 1)
        mean.half_width =
            student((double)count - 1) * sqrt(squares / (double)(count - 1) / (double)count);
    return mean;
}

/* Error of the wait that was predicted at admission. */
struct accuracy {
    double absolute, relative;
};

struct errors {
    double *absolute, *relative;
    size_t count;
};

static void add_error(struct errors *errors, double told, double waited)
{
    errors->absolute[errors->count] = fabs(told - waited);
    errors->relative[errors->count++] = fabs(told - waited) / waited;
}

struct eta {
    struct accuracy forecast, counting;
    double waited; /* median */
    size_t count;
};

static struct accuracy accuracy_of(struct errors *errors)
{
    return (struct accuracy){
        .absolute = quantile(errors->absolute, errors->count, 0.5),
        .relative = quantile(errors->relative, errors->count, 0.5),
    };
}

static struct eta eta_of(const struct world *world)
{
    size_t n = world->job_count;
    CLEANUP(freep) double *buffer = xcalloc(5 * n, sizeof(*buffer));
    struct errors forecast = {buffer, buffer + n, 0},
                  counting = {buffer + 2 * n, buffer + 3 * n, 0};
    double *waits = buffer + 4 * n;

    for (size_t i = 0; i < n; i++) {
        const struct job *job = &world->jobs[i];
        double waited = (double)(job->started - job->arrived) / 1000;

        if (job->told < 0 || waited <= 0 || job->task.spent > 1)
            continue;
        waits[forecast.count] = waited;
        add_error(&forecast, job->told, waited);
        add_error(&counting, job->told_before, waited);
    }
    return (struct eta){
        .waited = quantile(waits, forecast.count, 0.5),
        .count = forecast.count,
        .forecast = accuracy_of(&forecast),
        .counting = accuracy_of(&counting),
    };
}

/* --- tables ---------------------------------------------------------------------------------- */

struct results {
    double mean[POLICIES][SEEDS_MAX], p95[POLICIES][SEEDS_MAX], failed[POLICIES][SEEDS_MAX];
    double ratio[POLICIES][SEEDS_MAX];
    struct eta eta[SEEDS_MAX];
};

static void simulate(const struct scenario *scenario, bool is_warm, size_t seeds, size_t tasks,
                     struct results *results)
{
    for (size_t s = 0; s < seeds; s++) {
        for (int p = 0; p < POLICIES; p++) {
            struct world world = {
                .scenario = scenario,
                .policy = (enum policy)p,
                .is_warm = is_warm,
                .seed = s + 1,
                .job_count = tasks,
            };
            struct outcome outcome;

            run(&world);
            outcome = outcome_of(&world);
            results->mean[p][s] = outcome.mean;
            results->p95[p][s] = outcome.p95;
            results->failed[p][s] = outcome.failed;
            if (p == ACPD)
                results->eta[s] = eta_of(&world);
            world_deinit(&world);
        }
        for (int p = 0; p < POLICIES; p++)
            results->ratio[p][s] = results->mean[p][s] / results->mean[ORACLE][s];
    }
}

/* Whether acpd is within a tenth of the oracle, and quicker than the three simpler policies. */
static const char *verdict(const struct results *results, size_t seeds)
{
    double acpd = mean_of(results->ratio[ACPD], seeds).value;

    for (int p = RANDOM; p <= LEAST_LOADED; p++)
        if (mean_of(results->ratio[p], seeds).value <= acpd)
            return "MISSED: a simpler policy is better";
    return acpd <= 1.1 ? "met" : "MISSED: more than 1.10";
}

static void print_scenario(const struct scenario *scenario, const struct results *results,
                           const struct results *warm, size_t seeds)
{
    for (int p = 0; p < POLICIES; p++) {
        struct mean ratio = mean_of(results->ratio[p], seeds);
        struct mean warm_ratio = mean_of(warm->ratio[p], seeds);

        printf("| %s | %s | %.1f | %.1f | %.1f | %.2f ± %.2f | %s | %.2f ± %.2f |\n",
               p == ACPD ? scenario->name : "", policy_names[p],
               mean_of(results->mean[p], seeds).value, mean_of(results->p95[p], seeds).value,
               mean_of(results->failed[p], seeds).value, ratio.value, ratio.half_width,
               p == ACPD ? verdict(results, seeds) : "", warm_ratio.value, warm_ratio.half_width);
    }
    fflush(stdout);
}

static double median_eta(const struct results *results, size_t seeds, size_t offset)
{
    double values[SEEDS_MAX];

    for (size_t s = 0; s < seeds; s++)
        memcpy(&values[s], (const char *)&results->eta[s] + offset, sizeof(values[s]));
    return quantile(values, seeds, 0.5);
}

#define ETA(member) median_eta(results, seeds, offsetof(struct eta, member))

static void print_eta(const struct scenario *scenario, const struct results *results, size_t seeds)
{
    printf("| %s | %.1f | %.1f | %.0f %% | %.1f | %.0f %% |\n", scenario->name, ETA(waited),
           ETA(forecast.absolute), 100 * ETA(forecast.relative), ETA(counting.absolute),
           100 * ETA(counting.relative));
}

static void print_parameters(size_t seeds, size_t tasks)
{
    printf(
        "%zu seeds of %zu tasks per scenario, all of them counted. Windows of %d attempts: empty\n"
        "at the start, and full for the last column. Weights %g, %g, %g, %g.\n"
        "Sizes log-normal (sigma %g) around the mean of their type; a task takes its size divided\n"
        "by the profile's speed for its type. An attempt fails with probability %g, after %g of\n"
        "its time; then acpd's retries: 3 attempts, backoff from 1 s to 300 s with full jitter.\n"
        "A failed task is submitted again. Cooldown from 5 s to 600 s.\n\n",
        seeds, tasks, RETENTION, weights.capability, weights.load, weights.history,
        weights.priority, spread, FAIL_CHANCE, FAIL_AFTER);
    for (int t = 0; t < TYPES; t++)
        printf("%s %s (%g s, %g %%)", t ? "," : "Types:", types[t].name, types[t].mean,
               100 * types[t].share);
    printf(".\n\n| scenario | load | arrivals | profiles: slots, priority; speed for each type |\n"
           "|---|---:|---|---|\n");
    for (size_t i = 0; i < SCENARIOS; i++) {
        const struct scenario *s = &scenarios[i];

        printf("| %s | %g |", s->name, s->load);
        if (s->burst > 1)
            printf(" %d at once |", s->burst);
        else if (s->peak > 0)
            printf(" Poisson; %g for the first third |", s->peak);
        else
            printf(" Poisson |");
        for (const struct worker *w = s->workers; w->name; w++)
            printf(" %s: %d, %d; %g %g %g %g%s", w->name, w->slots, w->priority, w->speed[0],
                   w->speed[1], w->speed[2], w->speed[3], w[1].name ? "." : "");
        if (s->sick)
            printf(". From a quarter to a half of the time %g %% of the attempts of %s end as %s",
                   100 * s->sick_chance, s->sick, error_class_info(s->class)->name);
        printf(" |\n");
    }
}

static size_t number_of(const char *text, size_t max)
{
    char *rest;
    unsigned long number = strtoul(text, &rest, 10);

    if (*rest || number < 2 || number > max) {
        fprintf(stderr, "routing: \"%s\" is not a number from 2 to %zu\n", text, max);
        exit(2);
    }
    return number;
}

static struct routing_weights default_weights(void)
{
    CLEANUP(settings_deinit) struct settings settings = {0};
    CLEANUP(freep) char *error = NULL;

    if (config_load(NULL, "acpd-demo", &settings, &error) < 0)
        abort();
    return settings.routing;
}

int main(int argc, char **argv)
{
    static struct results results[SCENARIOS], warm;
    size_t seeds = 20, tasks = 2000;

    weights = default_weights();
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
            seeds = number_of(argv[++i], SEEDS_MAX);
        } else if (i + 1 < argc && strcmp(argv[i], "--tasks") == 0) {
            tasks = number_of(argv[++i], 1000000);
        } else if (i + 1 < argc && strcmp(argv[i], "--spread") == 0) {
            spread = strtod(argv[++i], NULL);
        } else if (i + 1 < argc && strcmp(argv[i], "--load-weight") == 0) {
            weights.load = strtod(argv[++i], NULL);
        } else {
            fprintf(stderr,
                    "Usage: routing [--seeds N] [--tasks N] [--spread SIGMA] [--load-weight W]\n");
            return 2;
        }
    }
    print_parameters(seeds, tasks);
    printf("\n| scenario | policy | mean s | p95 s | failed | mean / oracle | goal | with full "
           "windows |\n"
           "|---|---|---:|---:|---:|---:|---|---:|\n");
    for (size_t i = 0; i < SCENARIOS; i++) {
        simulate(&scenarios[i], false, seeds, tasks, &results[i]);
        simulate(&scenarios[i], true, seeds, tasks, &warm);
        print_scenario(&scenarios[i], &results[i], &warm, seeds);
    }
    printf("\nThe wait predicted at admission for tasks that had to wait (medians):\n\n"
           "| scenario | wait s | error s | relative | naive: error s | relative |\n"
           "|---|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < SCENARIOS; i++)
        print_eta(&scenarios[i], &results[i], seeds);
    return 0;
}
