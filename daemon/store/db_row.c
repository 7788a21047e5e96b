/* SPDX-License-Identifier: MIT */
#include "store/db_row.h"

#include <endian.h>
#include <string.h>

#include "common/crc32c.h"

uint32_t db_row_finish(struct db_row_sum *sum)
{
    sum->crc = crc32c(sum->crc, sum->bytes, sum->len);
    sum->len = 0;
    return sum->crc;
}

void db_row_add_byte(struct db_row_sum *sum, char byte)
{
    if (sum->len == sizeof(sum->bytes))
        db_row_finish(sum);
    sum->bytes[sum->len++] = (unsigned char)byte;
}

void db_row_add_number(struct db_row_sum *sum, char tag, int64_t number)
{
    uint64_t little = htole64((uint64_t)number);

    if (sizeof(sum->bytes) - sum->len < 1 + sizeof(little))
        db_row_finish(sum);
    sum->bytes[sum->len] = (unsigned char)tag;
    memcpy(sum->bytes + sum->len + 1, &little, sizeof(little));
    sum->len += 1 + sizeof(little);
}

void db_row_add_text(struct db_row_sum *sum, const char *text, size_t len)
{
    db_row_add_number(sum, 't', (int64_t)len);
    sum->crc = crc32c(db_row_finish(sum), text, len);
}

static void db_row_add_string(struct db_row_sum *sum, const char *text)
{
    if (text)
        db_row_add_text(sum, text, strlen(text));
    else
        db_row_add_byte(sum, 'n');
}

void db_row_begin_column(struct db_row_sum *sum, int column)
{
    if (column >= LEASE_COLUMN)
        db_row_add_number(sum, 'c', column);
}

static void db_row_add_lease(struct db_row_sum *sum, const struct store_lease *lease)
{
    db_row_begin_column(sum, LEASE_COLUMN);
    db_row_add_string(sum, lease->token);
    db_row_begin_column(sum, LEASE_COLUMN + 1);
    db_row_add_number(sum, 'i', lease->length_ms);
    db_row_begin_column(sum, LEASE_COLUMN + 2);
    db_row_add_string(sum, lease->worker);
}

int64_t db_row_crc(const struct task *task, const struct store_lease *lease)
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
    struct db_row_sum sum;

    sum.crc = 0;
    sum.len = 0;
    for (size_t i = 0; i < ARRAY_SIZE(first); i++)
        db_row_add_number(&sum, 'i', first[i]);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        db_row_add_string(&sum, texts[i]);
    for (size_t i = 0; i < ARRAY_SIZE(last); i++)
        db_row_add_number(&sum, 'i', last[i]);
    db_row_add_string(&sum, task->error_tail);
    if (lease)
        db_row_add_lease(&sum, lease);
    return db_row_finish(&sum);
}
