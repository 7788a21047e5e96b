/* SPDX-License-Identifier: MIT */
/*
 * The head of a queue: rows that are read ahead, so that not every claim has to ask the database.
 * They stay true for the transaction, since nobody else writes meanwhile, and what it writes itself
 * is noted here.
 */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "store/db.h"

#define HEAD_MAX   64            /* rows; the statement reads no more */
#define HEAD_BYTES (1024 * 1024) /* about, of rows that are read ahead */

void db_head_forget(struct store *store, int64_t profile_id)
{
    struct profile_change *change = db_find_change(store, profile_id);

    if (change)
        db_head_free(STEAL(change->head));
}

void db_head_note_queued(struct store *store, const struct task *task)
{
    const struct profile_change *change = db_find_change(store, task->profile_id);
    struct db_head *head = change ? change->head : NULL;

    if (!head)
        return;
    head->is_all = false;
    if (task->sort_key < head->last_place ||
        (task->sort_key == head->last_place && task->id < head->last_id))
        db_head_forget(store, task->profile_id);
}

void db_head_note_claim(struct store *store, const struct task *task)
{
    struct db_claims *claims = &db_change_of(store, task->profile_id)->claims;
    size_t bytes = strlen(task->body);

    claims->profile_id = task->profile_id;
    claims->count++;
    claims->row_max = claims->row_max > bytes ? claims->row_max : bytes;
}

/* How many to read: what has to be claimed at once; ahead of that, as many as the last transaction
 * has claimed of this profile, then more each time, as far as rows are not long. */
static size_t db_head_guess(struct store *store, int64_t profile_id, size_t limit,
                            const struct db_head *head)
{
    const struct db_claims *now = &db_change_of(store, profile_id)->claims;
    const struct db_claims *last = now->count ? now : &store->claims;
    size_t most = HEAD_BYTES / (last->row_max + 1);
    size_t guess = head->tasks.count                ? 2 * head->tasks.count
                   : last->profile_id == profile_id ? last->count
                                                    : 0;

    guess = guess < most ? guess : most;
    guess = guess > limit ? guess : limit;
    return guess < HEAD_MAX ? guess : HEAD_MAX;
}

static int db_head_read(struct store *store, int64_t profile_id, size_t limit, struct db_head *head)
{
    size_t most = db_head_guess(store, profile_id, limit, head);
    struct statement *stmt = db_use(store, STMT_QUEUE_HEAD);
    struct task task;
    int r;

    task_list_deinit(&head->tasks);
    *head = (struct db_head){.last_place = INT64_MIN};
    db_bind_number(stmt, 1, profile_id);
    db_bind_number(stmt, 2, (int64_t)most);
    while ((r = db_step(store, stmt)) > 0) {
        r = db_read_task(store, stmt, &task);
        if (r < 0)
            break;
        head->last_place = task.sort_key;
        head->last_id = task.id;
        db_push_task(&head->tasks, &task);
    }
    db_reset(stmt);
    head->is_all = r == 0 && head->tasks.count < most;
    return r == -EBADMSG && head->tasks.count ? 0 : r; /* those before a damaged row are sound */
}

int db_head_take(struct store *store, int64_t profile_id, size_t limit, struct task *ret_task)
{
    struct profile_change *change = db_change_of(store, profile_id);
    struct db_head *head = change->head;
    int r = 0;

    if (!head)
        head = change->head = xcalloc(1, sizeof(*head));
    if (head->at == head->tasks.count && !head->is_all)
        r = db_head_read(store, profile_id, limit, head);
    if (r < 0) {
        db_head_forget(store, profile_id);
        return r;
    }
    if (head->at == head->tasks.count)
        return 0;
    *ret_task = head->tasks.tasks[head->at];
    head->tasks.tasks[head->at++] = (struct task){0};
    return 1;
}
