/* SPDX-License-Identifier: MIT */
/*
 * What profiles did, in figures.
 *
 * A bucket sums up one span of time (a minute, a quarter of an hour, an hour) of one profile.
 * Buckets add up, so any range is the sum of the buckets in it, and no task is ever counted when a
 * page loads. Durations go into a histogram with bins that grow by 2^(1/4) from 1 ms, each holding
 * its upper edge: a percentile read from it is within 9 % of the true one.
 *
 * The window holds the last attempts one by one; routing and health look at it.
 */
#pragma once

#include "common/buf.h"
#include "core/error_class.h"

#define METRICS_BINS 136 /* up to 2^34 ms, half a year */

/* The spans of buckets, in ms. */
#define METRICS_MINUTE  INT64_C(60000)
#define METRICS_QUARTER (15 * METRICS_MINUTE)
#define METRICS_HOUR    (60 * METRICS_MINUTE)

/* What users may look back at: so many buckets, the last being the present one. */
struct metrics_range {
    const char *name;
    int64_t span;
    size_t count;
};

extern const char *const metrics_range_names[]; /* ended by NULL; the first is the default */

/** NULL stands for the default. */
const struct metrics_range *metrics_range_find(const char *name);
int64_t metrics_range_ms(const struct metrics_range *range);
/** When the range that ends with the present bucket begins. */
int64_t metrics_range_start(const struct metrics_range *range, int64_t now);

#define CURRENCY_SIZE 8 /* of a currency's code, e.g. USD */

/* What agents say that their work cost. */
struct metrics_cost {
    double amount;
    char currency[CURRENCY_SIZE]; /* empty: nothing was reported */
};

struct metrics_bucket {
    int64_t completed, failed, cancelled; /* tasks by final outcome */
    int64_t retried;                      /* attempts that will be repeated */
    int64_t successes, errors;            /* attempts that count for rates */
    int64_t duration_sum_ms;              /* of those attempts */
    int64_t arrived;                      /* tasks admitted to the queue */
    int64_t started, wait_sum_ms;         /* attempts started and how long they had been queued */
    int64_t queue_max;                    /* the most that waited at once */
    struct metrics_cost cost;             /* in the first currency that was reported */
    uint32_t durations[METRICS_BINS];     /* of the attempts that count */
    uint32_t waits[METRICS_BINS];         /* of the attempts started */
};

/* The minute of a profile that is not over yet, or was the last in which something happened. */
struct metrics_minute {
    int64_t at;        /* when it began, wall ms; 0: there is none */
    int64_t queue_max; /* the most that waited at once in all queues together */
    struct metrics_bucket sum;
};

struct metrics {
    double throughput;   /* finished tasks an hour */
    double success_rate; /* percent of the attempts that count; 100 without any */
    double error_rate;   /* percent; 0 without any */
    double average_duration, p50_duration, p95_duration; /* seconds */
    double average_wait, p50_wait, p95_wait;             /* seconds in the queue before a start */
    struct metrics_cost cost;
    int64_t sample_size; /* attempts that count */
};

/* The most that waited at once within a minute. */
struct metrics_peak {
    int64_t minute; /* of the wall clock, since 1970; 0: none yet */
    int64_t size;
};

/** Adds what happened; of queue_max the greater stays. */
void metrics_bucket_add(struct metrics_bucket *bucket, const struct metrics_bucket *other);
/** Amounts in another currency than the sum's are left out. */
void metrics_cost_add(struct metrics_cost *sum, const struct metrics_cost *cost);
bool metrics_bucket_is_empty(const struct metrics_bucket *bucket);
/** Notes one attempt that counts. */
void metrics_bucket_add_attempt(struct metrics_bucket *bucket, bool success, int64_t duration_ms);
void metrics_from_bucket(const struct metrics_bucket *bucket, int64_t range_ms,
                         struct metrics *ret_metrics);

/** Notes that an attempt started after so long in the queue. */
void metrics_bucket_add_start(struct metrics_bucket *bucket, int64_t wait_ms);

/** Seconds up to which this bin and those below it reach. */
double metrics_bin_edge(size_t bin);

/** Notes how many waited before and after a pass. Whether that makes the minute's peak greater. */
bool metrics_peak_note(struct metrics_peak *peak, int64_t minute, int64_t before, int64_t after);

/** A histogram as text, "bin:count bin:count", and back: reading adds, and ignores what it does not
 *  know. */
void metrics_histogram_print(const uint32_t bins[METRICS_BINS], struct buf *text);
void metrics_histogram_parse(uint32_t bins[METRICS_BINS], const char *text);

/** A number that stands for a type of task; 0 for none. (FNV-1a, 64 bits: two types that met in one
 *  number would only share their durations.) */
uint64_t metrics_type(const char *type);

/* Who looks at each of the last attempts looks at these at most, whatever `metricsRetention` is. */
#define METRICS_RECENT 1000

struct metrics_window {
    struct metrics_sample {
        int64_t duration_ms;
        uint64_t type; /* metrics_type() of its task's */
        bool success;
    } * samples;
    size_t capacity, count, next;
    size_t successes;
    int64_t duration_sum_ms;
    size_t errors_in_a_row; /* at the young end */
};

void metrics_window_deinit(struct metrics_window *window);
/** Sets how many samples are held, keeping the youngest. */
void metrics_window_resize(struct metrics_window *window, size_t capacity);
void metrics_window_add(struct metrics_window *window, const struct metrics_sample *sample);
/** The sample that came `age` samples before the youngest; age < count. */
const struct metrics_sample *metrics_window_at(const struct metrics_window *window, size_t age);
/** The duration that this share of the samples stays within (nearest rank), in ms; 0 without any.
 * Of large windows the youngest 1,000 samples are looked at. */
int64_t metrics_window_percentile(const struct metrics_window *window, double fraction);
/** Seconds; 0 without samples. */
double metrics_window_average(const struct metrics_window *window);
