/* SPDX-License-Identifier: MIT */
/*
 * Metrics of profiles.
 *
 * A bucket sums up one span of time (a minute, a quarter of an hour, an hour) of one profile.
 * Buckets add up, so a range is the sum of its buckets, and loading a page never counts tasks.
 * Durations go into a histogram whose bins grow by 2^(1/4) from 1 ms, each including its upper
 * edge: a percentile read from it is within 10 % of the true one.
 *
 * The window holds the last attempts individually, for routing and health.
 */
#pragma once

#include "common/buf.h"
#include "core/error_class.h"

#define METRICS_BINS 136 /* up to 2^34 ms, half a year */

/* The spans of buckets, in ms. */
#define METRICS_MINUTE  INT64_C(60000)
#define METRICS_QUARTER (15 * METRICS_MINUTE)
#define METRICS_HOUR    (60 * METRICS_MINUTE)

/* A range that users can request: a number of buckets, ending with the current one. */
struct metrics_range {
    const char *name;
    int64_t span;
    size_t count;
};

extern const char *const metrics_range_names[]; /* ended by NULL; the first is the default */

/** NULL stands for the default. */
const struct metrics_range *metrics_range_find(const char *name);
int64_t metrics_range_ms(const struct metrics_range *range);
/** The start of the range that ends with the current bucket. */
int64_t metrics_range_start(const struct metrics_range *range, int64_t now);

#define CURRENCY_SIZE 8 /* of a currency's code, e.g. USD */

/* Cost reported by agents. */
struct metrics_cost {
    double amount;
    char currency[CURRENCY_SIZE]; /* empty: nothing was reported */
};

struct metrics_bucket {
    int64_t completed, failed, cancelled; /* tasks by final outcome */
    int64_t retried;                      /* attempts that will be retried */
    int64_t successes, errors;            /* attempts that count for rates */
    int64_t duration_sum_ms;              /* of those attempts */
    int64_t arrived;                      /* tasks admitted to the queue */
    int64_t started, wait_sum_ms;         /* attempts started and how long they had been queued */
    int64_t queue_max;                    /* the maximum of waiting tasks */
    struct metrics_cost cost;             /* in the first currency that was reported */
    uint32_t durations[METRICS_BINS];     /* of the attempts that count */
    uint32_t waits[METRICS_BINS];         /* of the attempts started */
};

/* The running minute of a profile, or the last one in which something happened. */
struct metrics_minute {
    int64_t at;        /* its start, wall ms; 0: none */
    int64_t queue_max; /* the maximum of waiting tasks in all queues together */
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

/* The maximum of waiting tasks within a minute. */
struct metrics_peak {
    int64_t minute; /* of the wall clock, since 1970; 0: none yet */
    int64_t size;
};

/** Adds one to the other; queue_max becomes the greater one. */
void metrics_bucket_add(struct metrics_bucket *bucket, const struct metrics_bucket *other);
/** Amounts in a currency other than the sum's are ignored. */
void metrics_cost_add(struct metrics_cost *sum, const struct metrics_cost *cost);
bool metrics_bucket_is_empty(const struct metrics_bucket *bucket);
/** Records an attempt that counts. */
void metrics_bucket_add_attempt(struct metrics_bucket *bucket, bool success, int64_t duration_ms);
void metrics_from_bucket(const struct metrics_bucket *bucket, int64_t range_ms,
                         struct metrics *ret_metrics);

/** Records how long the task of a started attempt was queued. */
void metrics_bucket_add_start(struct metrics_bucket *bucket, int64_t wait_ms);

/** The upper edge of the bin, in seconds. */
double metrics_bin_edge(size_t bin);

/** Records the number of waiting tasks before and after a pass. Returns whether the minute's
 * maximum grew. */
bool metrics_peak_note(struct metrics_peak *peak, int64_t minute, int64_t before, int64_t after);

/** A histogram as text, "bin:count bin:count", and back: reading adds to it and ignores unknown
 *  parts. */
void metrics_histogram_print(const uint32_t bins[METRICS_BINS], struct buf *text);
void metrics_histogram_parse(uint32_t bins[METRICS_BINS], const char *text);

/** A hash of a task's type; 0 for none. (FNV-1a, 64 bits: two types with the same hash would only
 *  share their durations.) */
uint64_t metrics_type(const char *type);

/* The most attempts that are looked at individually, whatever `metricsRetention` is. */
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
/** Sets the number of samples to keep; the latest stay. */
void metrics_window_resize(struct metrics_window *window, size_t capacity);
void metrics_window_add(struct metrics_window *window, const struct metrics_sample *sample);
/** The sample that came `age` samples before the latest; age < count. */
const struct metrics_sample *metrics_window_at(const struct metrics_window *window, size_t age);
/** The quantile of the durations (nearest rank), in ms; 0 without samples. For large windows, of
 * the latest 1,000 samples. */
int64_t metrics_window_percentile(const struct metrics_window *window, double fraction);
/** Seconds; 0 without samples. */
double metrics_window_average(const struct metrics_window *window);
