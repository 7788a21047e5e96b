/* SPDX-License-Identifier: MIT */
#include "core/metrics.h"

#include <math.h>
#include <string.h>

#include "common/alloc.h"

#define BINS_PER_OCTAVE 4

const char *const metrics_range_names[] = {"1h", "24h", "7d", NULL};

static const struct metrics_range ranges[] = {
    {"1h", METRICS_MINUTE, 60},
    {"24h", METRICS_QUARTER, 96},
    {"7d", METRICS_HOUR, 168},
};

const struct metrics_range *metrics_range_find(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_SIZE(ranges); i++)
        if (strcmp(ranges[i].name, name) == 0)
            return &ranges[i];
    return &ranges[0];
}

int64_t metrics_range_ms(const struct metrics_range *range)
{
    return range->span * (int64_t)range->count;
}

int64_t metrics_range_start(const struct metrics_range *range, int64_t now)
{
    return (now / range->span + 1) * range->span - metrics_range_ms(range);
}

static size_t metrics_bin_of(int64_t duration_ms)
{
    double bin;

    if (duration_ms <= 1)
        return 0;
    bin = ceil(log2((double)duration_ms) * BINS_PER_OCTAVE) - 1;
    return bin >= METRICS_BINS ? METRICS_BINS - 1 : (size_t)bin;
}

double metrics_bin_edge(size_t bin)
{
    return exp2((double)(bin + 1) / BINS_PER_OCTAVE) / 1000;
}

/* The geometric mean of the bin's bounds, in seconds. */
static double metrics_bin_seconds(size_t bin)
{
    return exp2(((double)bin + 0.5) / BINS_PER_OCTAVE) / 1000;
}

void metrics_bucket_add(struct metrics_bucket *bucket, const struct metrics_bucket *other)
{
    bucket->completed += other->completed;
    bucket->failed += other->failed;
    bucket->cancelled += other->cancelled;
    bucket->retried += other->retried;
    bucket->successes += other->successes;
    bucket->errors += other->errors;
    bucket->duration_sum_ms += other->duration_sum_ms;
    bucket->arrived += other->arrived;
    bucket->started += other->started;
    bucket->wait_sum_ms += other->wait_sum_ms;
    metrics_cost_add(&bucket->cost, &other->cost);
    if (other->queue_max > bucket->queue_max)
        bucket->queue_max = other->queue_max;
    for (size_t i = 0; i < METRICS_BINS; i++) {
        bucket->durations[i] += other->durations[i];
        bucket->waits[i] += other->waits[i];
    }
}

void metrics_cost_add(struct metrics_cost *sum, const struct metrics_cost *cost)
{
    if (!cost->currency[0])
        return;
    if (!sum->currency[0])
        memcpy(sum->currency, cost->currency, sizeof(sum->currency));
    if (strcmp(sum->currency, cost->currency) == 0)
        sum->amount += cost->amount;
}

bool metrics_bucket_is_empty(const struct metrics_bucket *bucket)
{
    return !bucket->completed && !bucket->failed && !bucket->cancelled && !bucket->retried &&
           !bucket->successes && !bucket->errors && !bucket->arrived && !bucket->started &&
           !bucket->queue_max && !bucket->cost.currency[0];
}

void metrics_bucket_add_attempt(struct metrics_bucket *bucket, bool success, int64_t duration_ms)
{
    if (success)
        bucket->successes++;
    else
        bucket->errors++;
    bucket->duration_sum_ms += duration_ms;
    bucket->durations[metrics_bin_of(duration_ms)]++;
}

void metrics_bucket_add_start(struct metrics_bucket *bucket, int64_t wait_ms)
{
    bucket->started++;
    bucket->wait_sum_ms += wait_ms;
    bucket->waits[metrics_bin_of(wait_ms)]++;
}

bool metrics_peak_note(struct metrics_peak *peak, int64_t minute, int64_t before, int64_t after)
{
    bool is_new = minute != peak->minute;
    int64_t size = is_new && before > after ? before : after;

    if (!is_new && size <= peak->size)
        return false;
    *peak = (struct metrics_peak){.minute = minute, .size = size};
    return size > 0;
}

/* The duration below which `fraction` of the sample lies (nearest rank), in seconds. In the last
 * bin in use, where the average may be as well, it is not told to be below the average. */
static double metrics_percentile(const uint32_t bins[METRICS_BINS], double fraction, double average)
{
    int64_t size = 0, seen = 0;
    double rank;

    for (size_t i = 0; i < METRICS_BINS; i++)
        size += bins[i];
    rank = ceil(fraction * (double)size);
    for (size_t i = 0; i < METRICS_BINS; i++) {
        seen += bins[i];
        if (seen && (double)seen >= rank)
            return seen == size ? fmax(metrics_bin_seconds(i), average) : metrics_bin_seconds(i);
    }
    return 0;
}

void metrics_from_bucket(const struct metrics_bucket *bucket, int64_t range_ms,
                         struct metrics *ret_metrics)
{
    int64_t n = bucket->successes + bucket->errors;
    struct metrics m = {.success_rate = 100, .sample_size = n, .cost = bucket->cost};

    m.throughput = (double)(bucket->completed + bucket->failed) / ((double)range_ms / 3600000);
    if (bucket->started) {
        m.average_wait = (double)bucket->wait_sum_ms / (double)bucket->started / 1000;
        m.p50_wait = metrics_percentile(bucket->waits, 0.50, m.average_wait);
        m.p95_wait = metrics_percentile(bucket->waits, 0.95, m.average_wait);
    }
    if (n) {
        m.success_rate = 100.0 * (double)bucket->successes / (double)n;
        m.error_rate = 100.0 * (double)bucket->errors / (double)n;
        m.average_duration = (double)bucket->duration_sum_ms / (double)n / 1000;
        m.p50_duration = metrics_percentile(bucket->durations, 0.50, m.average_duration);
        m.p95_duration = metrics_percentile(bucket->durations, 0.95, m.average_duration);
    }
    *ret_metrics = m;
}

void metrics_histogram_print(const uint32_t bins[METRICS_BINS], struct buf *text)
{
    const char *separator = "";

    for (size_t i = 0; i < METRICS_BINS; i++) {
        if (!bins[i])
            continue;
        buf_printf(text, "%s%zu:%u", separator, i, bins[i]);
        separator = " ";
    }
}

void metrics_histogram_parse(uint32_t bins[METRICS_BINS], const char *text)
{
    char *end;

    while (*text) {
        unsigned long count, bin = strtoul(text, &end, 10);

        if (end == text || *end != ':')
            return;
        count = strtoul(end + 1, &end, 10);
        if (bin < METRICS_BINS)
            bins[bin] += (uint32_t)count;
        text = end;
        while (*text == ' ')
            text++;
    }
}

uint64_t metrics_type(const char *type)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    if (!type)
        return 0;
    for (; *type; type++)
        hash = (hash ^ (unsigned char)*type) * UINT64_C(1099511628211);
    return hash;
}

void metrics_window_deinit(struct metrics_window *window)
{
    free(window->samples);
    *window = (struct metrics_window){0};
}

void metrics_window_resize(struct metrics_window *window, size_t capacity)
{
    struct metrics_window old = *window;
    size_t keep = old.count < capacity ? old.count : capacity;

    if (capacity == old.capacity)
        return;
    *window = (struct metrics_window){.capacity = capacity};
    window->samples = xcalloc(capacity, sizeof(*window->samples));
    while (keep--)
        metrics_window_add(window, metrics_window_at(&old, keep));
    metrics_window_deinit(&old);
}

void metrics_window_add(struct metrics_window *window, const struct metrics_sample *sample)
{
    struct metrics_sample *slot;

    if (!window->capacity)
        return;
    slot = &window->samples[window->next];
    if (window->count == window->capacity) {
        window->successes -= slot->success;
        window->duration_sum_ms -= slot->duration_ms;
    } else {
        window->count++;
    }
    *slot = *sample;
    window->successes += sample->success;
    window->duration_sum_ms += sample->duration_ms;
    window->errors_in_a_row = sample->success ? 0 : window->errors_in_a_row + 1;
    window->next = (window->next + 1) % window->capacity;
}

const struct metrics_sample *metrics_window_at(const struct metrics_window *window, size_t age)
{
    return &window->samples[(window->next + window->capacity - 1 - age) % window->capacity];
}

static int metrics_compare_ms(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

int64_t metrics_window_percentile(const struct metrics_window *window, double fraction)
{
    int64_t durations[1000];
    size_t count = window->count < ARRAY_SIZE(durations) ? window->count : ARRAY_SIZE(durations);
    size_t rank = (size_t)ceil(fraction * (double)count);

    if (!count)
        return 0;
    for (size_t i = 0; i < count; i++)
        durations[i] = metrics_window_at(window, i)->duration_ms;
    qsort(durations, count, sizeof(*durations), metrics_compare_ms);
    return durations[rank ? rank - 1 : 0];
}

double metrics_window_average(const struct metrics_window *window)
{
    return window->count ? (double)window->duration_sum_ms / (double)window->count / 1000 : 0;
}
