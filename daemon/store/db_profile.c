/* SPDX-License-Identifier: MIT */
/* Profiles and their attempts. */

#include "common/alloc.h"
#include "store/db_metrics.h"

void store_profile_deinit(struct store_profile *profile)
{
    free(profile->name);
    *profile = (struct store_profile){0};
}

/* The counter columns of `profile`, in their order. */
static const enum task_status counted[] = {
    TASK_QUEUED,    TASK_SCHEDULED, TASK_BLOCKED,   TASK_RUNNING,
    TASK_COMPLETED, TASK_FAILED,    TASK_CANCELLED,
};

static void db_profile_read_profile(struct store *store, struct statement *stmt,
                                    struct store_profile *ret_profile)
{
    struct store_profile profile = {
        .id = db_number(stmt, 0),
        .name = db_copy_text(stmt, 1),
        .is_active = db_number(stmt, 2) != 0,
        .last_activity = db_number(stmt, 10),
    };

    for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
        profile.counts.by_status[counted[i]] = db_number(stmt, 3 + (int)i);
    profile.counts.finished_bytes = db_number(stmt, 11);
    profile.minute.at = db_number(stmt, 12);
    profile.minute.queue_max = db_number(stmt, 13);
    db_read_bucket(store, stmt, 14, profile.id, profile.minute.at, &profile.minute.sum);
    *ret_profile = profile;
}

int store_ensure_profile(struct store *store, const char *name, struct store_profile *ret_profile)
{
    struct statement *stmt;
    int r = db_flush_profiles(store);

    if (r < 0)
        return r;
    r = db_use_writing(store, STMT_ADD_PROFILE, &stmt);
    if (r < 0)
        return r;
    db_bind_text(stmt, 1, name);
    r = db_run(store, stmt);
    if (r < 0)
        return r;
    stmt = db_use(store, STMT_GET_PROFILE);
    db_bind_text(stmt, 1, name);
    r = db_step(store, stmt);
    if (r < 0)
        return r;
    db_profile_read_profile(store, stmt, ret_profile);
    db_reset(stmt);
    return 0;
}

void store_profiles_deinit(struct store_profiles *profiles)
{
    for (size_t i = 0; i < profiles->count; i++)
        store_profile_deinit(&profiles->profiles[i]);
    free(profiles->profiles);
    *profiles = (struct store_profiles){0};
}

int store_list_profiles(struct store *store, struct store_profiles *ret_profiles)
{
    size_t capacity = ret_profiles->count;
    struct statement *stmt;
    /* A failed pass writes nothing more, since it is rolled back. */
    int r = store->failure ? 0 : db_flush_profiles(store);

    if (r < 0)
        return r;
    stmt = db_use(store, STMT_LIST_PROFILES);
    while ((r = db_step(store, stmt)) > 0) {
        if (ret_profiles->count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            ret_profiles->profiles =
                xrealloc(ret_profiles->profiles, capacity * sizeof(*ret_profiles->profiles));
        }
        db_profile_read_profile(store, stmt, &ret_profiles->profiles[ret_profiles->count++]);
    }
    return r;
}

void db_drop_changes(struct store *store)
{
    struct db_claims most = {0};

    while (store->change_count) {
        struct profile_change *change = &store->changes[--store->change_count];

        if (change->claims.count > most.count)
            most = change->claims;
        free(change->minute);
        db_head_free(change->head);
    }
    if (most.count)
        store->claims = most;
}

void db_free_changes(struct store *store)
{
    db_drop_changes(store);
    free(store->changes);
}

/* A pass changes few profiles, most of them several times in a row. */
struct profile_change *db_find_change(const struct store *store, int64_t id)
{
    for (size_t i = store->change_count; i--;)
        if (store->changes[i].profile_id == id)
            return &store->changes[i];
    return NULL;
}

struct profile_change *db_change_of(struct store *store, int64_t id)
{
    struct profile_change *change = db_find_change(store, id);

    if (change)
        return change;
    if (store->change_count == store->change_capacity) {
        store->change_capacity = store->change_capacity ? store->change_capacity * 2 : 16;
        store->changes = xrealloc(store->changes, store->change_capacity * sizeof(*store->changes));
    }
    change = &store->changes[store->change_count++];
    *change = (struct profile_change){.profile_id = id, .is_active = -1, .waiting = -1, .held = -1};
    return change;
}

struct task_counts *db_counts(struct store *store, int64_t profile_id)
{
    return &db_change_of(store, profile_id)->counts;
}

static int db_profile_write_change(struct store *store, const struct profile_change *change)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    struct statement *stmt;
    int r = db_use_writing(store, STMT_UPDATE_PROFILE, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, change->profile_id);
    for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
        db_bind_number(stmt, 2 + (int)i, change->counts.by_status[counted[i]]);
    if (change->is_active >= 0)
        db_bind_number(stmt, 9, change->is_active);
    if (change->last_activity)
        db_bind_number(stmt, 10, change->last_activity);
    db_bind_number(stmt, 11, change->counts.finished_bytes);
    if (change->minute) {
        db_bind_number(stmt, 12, change->minute->at);
        db_bind_number(stmt, 13, change->minute->queue_max);
        if (change->minute->at)
            db_bind_bucket(stmt, 14, &change->minute->sum, &bytes);
    }
    return db_run_later(store, stmt);
}

int db_flush_profiles(struct store *store)
{
    for (size_t i = 0; i < store->change_count; i++) {
        int r = db_profile_write_change(store, &store->changes[i]);

        if (r < 0)
            return r;
    }
    db_drop_changes(store);
    return 0;
}

/* The changes of a profile, to be added to. */
static int db_profile_begin_change(struct store *store, int64_t id,
                                   struct profile_change **ret_change)
{
    int r = db_begin(store);

    if (r < 0)
        return r;
    store->writes++;
    *ret_change = db_change_of(store, id);
    return 0;
}

int store_update_profile(struct store *store, int64_t id, int is_active, int64_t last_activity)
{
    struct profile_change *change;
    int r = db_profile_begin_change(store, id, &change);

    if (r < 0)
        return r;
    if (is_active >= 0)
        change->is_active = is_active;
    if (last_activity)
        change->last_activity = last_activity;
    return 0;
}

int store_put_minute(struct store *store, int64_t id, const struct metrics_minute *minute)
{
    struct profile_change *change;
    int r = db_profile_begin_change(store, id, &change);

    if (r < 0)
        return r;
    if (!change->minute)
        change->minute = xmalloc(sizeof(*change->minute));
    *change->minute = *minute;
    return 0;
}

int store_has_history(struct store *store, int64_t id)
{
    struct statement *stmt = db_use(store, STMT_HAS_HISTORY);
    int r;

    db_bind_number(stmt, 1, id);
    r = db_step(store, stmt);
    if (r > 0)
        r = db_number(stmt, 0) != 0;
    db_reset(stmt);
    return r;
}

int store_remove_profile(struct store *store, int64_t id)
{
    int r = db_run_for_id(store, STMT_REMOVE_PROFILE, id);

    return r < 0 ? r : db_changes(store) ? STORE_DONE : STORE_STALE;
}

static void db_profile_bind_cost(struct statement *stmt, int index, const struct metrics_cost *cost)
{
    if (!cost->currency[0])
        return;
    db_bind_double(stmt, index, cost->amount);
    db_bind_text(stmt, index + 1, cost->currency);
}

int db_add_attempt(struct store *store, const struct store_attempt *attempt)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_ADD_ATTEMPT, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, attempt->task_id);
    db_bind_number(stmt, 2, attempt->number);
    db_bind_number(stmt, 3, attempt->profile_id);
    db_bind_number(stmt, 4, attempt->started_at);
    db_bind_number(stmt, 5, attempt->finished_at);
    db_bind_number(stmt, 6, attempt->duration_ms);
    db_bind_text(stmt, 7, error_class_info(attempt->error_class)->name);
    db_bind_text(stmt, 8, attempt->error_message);
    db_bind_number(stmt, 9, error_class_info(attempt->error_class)->counts);
    db_bind_text(stmt, 10, attempt->usage);
    db_profile_bind_cost(stmt, 11, &attempt->cost);
    db_bind_text(stmt, 13, attempt->type);
    return db_run_later(store, stmt);
}

int store_report_attempt(struct store *store, const struct store_attempt *attempt)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_REPORT_ATTEMPT, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, attempt->task_id);
    db_bind_number(stmt, 2, attempt->number);
    db_bind_text(stmt, 3, attempt->usage);
    db_profile_bind_cost(stmt, 4, &attempt->cost);
    return db_run(store, stmt);
}

int store_fill_window(struct store *store, int64_t profile_id, struct metrics_window *window)
{
    struct statement *stmt = db_use(store, STMT_RECENT_ATTEMPTS);
    CLEANUP(freep) struct metrics_sample *samples = NULL;
    size_t count = 0;
    int r;

    samples = xcalloc(window->capacity, sizeof(*samples));
    db_bind_number(stmt, 1, profile_id);
    db_bind_number(stmt, 2, (int64_t)window->capacity);
    while ((r = db_step(store, stmt)) > 0)
        samples[count++] = (struct metrics_sample){
            .success = db_value(stmt, 0).type == DB_NULL,
            .duration_ms = db_number(stmt, 1),
            .type = metrics_type(db_value(stmt, 2).text),
        };
    if (r < 0)
        return r;
    while (count--)
        metrics_window_add(window, &samples[count]);
    return 0;
}
