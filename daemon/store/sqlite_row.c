/* SPDX-License-Identifier: MIT */
/*
 * Checksums of task rows. SQLite detects damage in its own structures but not in the contents of
 * rows. So each row carries a CRC-32C of all its columns, including the id. Every reader checks it:
 * the statements of the queue directly; --check, recover and restore through the SQL function
 * task_crc().
 *
 * The sum covers the type and value of each column: 'i' and eight bytes, little-endian; 't', the
 * length in the same form and the bytes; or 'n' for NULL. A column of the lease is included only if
 * it is not NULL, after 'c' and its number, so that a row without a lease has the same sum as
 * before those columns existed. acpd never writes other types.
 */
#include "store/sqlite_row.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/crc32c.h"
#include "common/utf8.h"
#include "core/word.h"
#include "store/sqlite_metrics.h"

/* A checksum being computed; what is short is gathered first. */
struct summing {
    uint32_t crc;
    size_t len;
    unsigned char bytes[256];
};

static uint32_t sqlite_row_finish(struct summing *sum)
{
    sum->crc = crc32c(sum->crc, sum->bytes, sum->len);
    sum->len = 0;
    return sum->crc;
}

static void sqlite_row_add_byte(struct summing *sum, char byte)
{
    if (sum->len == sizeof(sum->bytes))
        sqlite_row_finish(sum);
    sum->bytes[sum->len++] = (unsigned char)byte;
}

static void sqlite_row_add_number(struct summing *sum, char tag, int64_t number)
{
    uint64_t little = htole64((uint64_t)number);

    if (sizeof(sum->bytes) - sum->len < 1 + sizeof(little))
        sqlite_row_finish(sum);
    sum->bytes[sum->len] = (unsigned char)tag;
    memcpy(sum->bytes + sum->len + 1, &little, sizeof(little));
    sum->len += 1 + sizeof(little);
}

static void sqlite_row_add_text(struct summing *sum, const char *text, size_t len)
{
    sqlite_row_add_number(sum, 't', (int64_t)len);
    sum->crc = crc32c(sqlite_row_finish(sum), text, len);
}

static void sqlite_row_add_string(struct summing *sum, const char *text)
{
    if (text)
        sqlite_row_add_text(sum, text, strlen(text));
    else
        sqlite_row_add_byte(sum, 'n');
}

/* Begins a column that is not NULL. */
static void sqlite_row_begin_column(struct summing *sum, int column)
{
    if (column >= LEASE_COLUMN)
        sqlite_row_add_number(sum, 'c', column);
}

static void sqlite_row_add_lease(struct summing *sum, const struct store_lease *lease)
{
    sqlite_row_begin_column(sum, LEASE_COLUMN);
    sqlite_row_add_string(sum, lease->token);
    sqlite_row_begin_column(sum, LEASE_COLUMN + 1);
    sqlite_row_add_number(sum, 'i', lease->length_ms);
    sqlite_row_begin_column(sum, LEASE_COLUMN + 2);
    sqlite_row_add_string(sum, lease->worker);
}

int64_t sqlite_row_crc(const struct task *task, const struct store_lease *lease)
{
    const int64_t first[] = {
        task->id,
        task->profile_id,
        task->status,
        (int64_t)task->priority,
        task->sort_key,
        task->created_at,
        task->started_at,
        task->finished_at,
        task->run_at,
        task->ready_at,
        task->queued_at,
        task->timeout_ms,
        task->max_attempts,
        task->attempt,
        task->spent,
        task->retries,
        task->interruptions,
    };
    const char *const texts[] = {
        task_error_name(task), task->error_message, task->key,  task->result,
        task->routing,         task->body,          task->type,
    };
    const int64_t last[] = {task->bytes, task->cooldowns, task->completed_then, task->submitted_by,
                            task->depth};
    struct summing sum;

    sum.crc = 0;
    sum.len = 0;
    for (size_t i = 0; i < ARRAY_SIZE(first); i++)
        sqlite_row_add_number(&sum, 'i', first[i]);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        sqlite_row_add_string(&sum, texts[i]);
    for (size_t i = 0; i < ARRAY_SIZE(last); i++)
        sqlite_row_add_number(&sum, 'i', last[i]);
    sqlite_row_add_string(&sum, task->error_tail);
    if (lease)
        sqlite_row_add_lease(&sum, lease);
    return sqlite_row_finish(&sum);
}

/* task_crc(column, …): NULL if a column has a type that acpd never writes. */
static void sqlite_row_task_crc(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct summing sum = {0};

    for (int i = 0; i < count; i++) {
        switch (sqlite3_value_type(values[i])) {
        case SQLITE_INTEGER:
            sqlite_row_begin_column(&sum, i);
            sqlite_row_add_number(&sum, 'i', sqlite3_value_int64(values[i]));
            break;
        case SQLITE_TEXT:
            sqlite_row_begin_column(&sum, i);
            sqlite_row_add_text(&sum, (const char *)sqlite3_value_text(values[i]),
                                (size_t)sqlite3_value_bytes(values[i]));
            break;
        case SQLITE_NULL:
            if (i < LEASE_COLUMN)
                sqlite_row_add_byte(&sum, 'n');
            break;
        default:
            return;
        }
    }
    sqlite3_result_int64(context, sqlite_row_finish(&sum));
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
        {"metrics_blob", 15, sqlite_metrics_blob},
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
