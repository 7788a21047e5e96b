/* SPDX-License-Identifier: MIT */
/* SQL functions. */
#include "store/sqlite_row.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/utf8.h"
#include "core/metrics_blob.h"
#include "core/word.h"
#include "store/db_row.h"

/* task_crc(column, …): NULL if a column has a type that acpd never writes. */
static void sqlite_row_task_crc(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct db_row_sum sum = {0};

    for (int i = 0; i < count; i++) {
        switch (sqlite3_value_type(values[i])) {
        case SQLITE_INTEGER:
            db_row_begin_column(&sum, i);
            db_row_add_number(&sum, 'i', sqlite3_value_int64(values[i]));
            break;
        case SQLITE_TEXT:
            db_row_begin_column(&sum, i);
            db_row_add_text(&sum, (const char *)sqlite3_value_text(values[i]),
                            (size_t)sqlite3_value_bytes(values[i]));
            break;
        case SQLITE_NULL:
            if (i < LEASE_COLUMN)
                db_row_add_byte(&sum, 'n');
            break;
        default:
            return;
        }
    }
    sqlite3_result_int64(context, db_row_finish(&sum));
}

/* is_line(text): whether it is a single line of UTF-8, or NULL. Replies are lines, so the text
 * must not end one. */
static void sqlite_row_is_line(sqlite3_context *context, int count UNUSED, sqlite3_value **values)
{
    const char *text = (const char *)sqlite3_value_text(values[0]);
    size_t len = (size_t)sqlite3_value_bytes(values[0]), i = 0;

    while (text && i < len) {
        unsigned char c = (unsigned char)text[i];
        size_t width = c < 0x80 ? c >= ' ' : utf8_width(text + i, len - i);

        if (!width)
            break;
        i += width;
    }
    sqlite3_result_int(context, i == (text ? len : 0));
}

/* is_word(text): whether it is a valid profile name. */
static void sqlite_row_is_word(sqlite3_context *context, int count UNUSED, sqlite3_value **values)
{
    const char *text = (const char *)sqlite3_value_text(values[0]);

    sqlite3_result_int(context, text && strlen(text) == (size_t)sqlite3_value_bytes(values[0]) &&
                                    word_is_valid(text));
}

/* metrics_blob(completed, …, queue_max): the blob of a bucket that was stored as columns. */
static void sqlite_row_metrics_blob(sqlite3_context *context, int count UNUSED,
                                    sqlite3_value **values)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    struct metrics_bucket bucket = {
        .completed = sqlite3_value_int64(values[0]),
        .failed = sqlite3_value_int64(values[1]),
        .cancelled = sqlite3_value_int64(values[2]),
        .retried = sqlite3_value_int64(values[3]),
        .successes = sqlite3_value_int64(values[4]),
        .errors = sqlite3_value_int64(values[5]),
        .duration_sum_ms = sqlite3_value_int64(values[6]),
        .started = sqlite3_value_int64(values[7]),
        .wait_sum_ms = sqlite3_value_int64(values[8]),
        .cost.amount = sqlite3_value_double(values[10]),
        .arrived = sqlite3_value_int64(values[13]),
        .queue_max = sqlite3_value_int64(values[14]),
    };
    const char *durations = (const char *)sqlite3_value_text(values[9]);
    const char *currency = (const char *)sqlite3_value_text(values[11]);
    const char *waits = (const char *)sqlite3_value_text(values[12]);

    snprintf(bucket.cost.currency, sizeof(bucket.cost.currency), "%s", currency ? currency : "");
    metrics_histogram_parse(bucket.durations, durations ? durations : "");
    metrics_histogram_parse(bucket.waits, waits ? waits : "");
    metrics_blob_write(&bucket, &bytes);
    sqlite3_result_blob(context, bytes.data, (int)bytes.len, SQLITE_TRANSIENT);
}

int sqlite_row_add_functions(sqlite3 *db)
{
    static const struct {
        const char *name;
        int arguments;
        void (*function)(sqlite3_context *context, int count, sqlite3_value **values);
    } functions[] = {
        {"task_crc", -1, sqlite_row_task_crc},
        {"is_line", 1, sqlite_row_is_line},
        {"is_word", 1, sqlite_row_is_word},
        {"metrics_blob", 15, sqlite_row_metrics_blob},
    };
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;

    for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
        if (sqlite3_create_function_v2(db, functions[i].name, functions[i].arguments, flags, NULL,
                                       functions[i].function, NULL, NULL, NULL) != SQLITE_OK)
            return -ENOMEM;
    return 0;
}

const char *sqlite_row_soundness(int64_t version)
{
    return version < 5    ? TASK_WAS_SOUND
           : version == 5 ? "task_crc(" TASK_FIELDS_5 ") = crc"
                          : "task_crc(" TASK_FIELDS ") = crc";
}
