/* SPDX-License-Identifier: MIT */
#include "faulty.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSAL (-EIO)

static struct {
    int commit;                   /* commits until one fails; 0: none */
    enum faulty_commit how;       /* how it fails */
    bool is_silent;               /* does not report unknown outcomes */
    int stale[FAULTY_VERB_COUNT]; /* calls of each verb until one is stale */
    /* The handle whose pass has failed, the one whose last commit has failed, and the one whose
     * commit has an unknown outcome. */
    const struct store *failed, *complaining, *doubtful;
    enum faulty_commit doubt; /* that outcome */
} faulty;

/* Whether this call is the ordered one. */
static bool is_due(int *count)
{
    return *count > 0 && --*count == 0;
}

void faulty_order_commit(enum faulty_commit how, int nth)
{
    faulty.commit = nth;
    faulty.how = how;
}

void faulty_stay_silent(bool is_silent)
{
    faulty.is_silent = is_silent;
}

void faulty_reset(void)
{
    faulty.commit = 0;
    faulty.is_silent = false;
    for (int i = 0; i < FAULTY_VERB_COUNT; i++)
        faulty.stale[i] = 0;
}

static const char *const verbs[] = {
    [FAULTY_ADD] = "add",
    [FAULTY_CHANGE] = "change",
    [FAULTY_CANCEL] = "cancel",
    [FAULTY_FINISH] = "finish",
    [FAULTY_REMOVE_PROFILE] = "remove_profile",
    [FAULTY_ADOPT] = "adopt",
    [FAULTY_END_NODE] = "end_node",
};

/* Reads orders from a file; they hold while it exists. */
static void take_order(void)
{
    static const char *const commits[] = {
        [FAULTY_REFUSED] = "refused",
        [FAULTY_UNSEEN] = "unseen",
        [FAULTY_LOST] = "lost",
    };
    const char *path = getenv("FAULTY_ORDER");
    FILE *file = path ? fopen(path, "re") : NULL;
    char word[16] = "";

    if (path)
        faulty_reset();
    if (!file)
        return;
    faulty.is_silent = true;
    if (fscanf(file, "%15s", word) == 1) {
        for (size_t i = 0; i < ARRAY_SIZE(commits); i++)
            if (strcmp(word, commits[i]) == 0)
                faulty_order_commit((enum faulty_commit)i, 1);
        for (int i = 0; i < FAULTY_VERB_COUNT; i++)
            if (strcmp(word, verbs[i]) == 0)
                faulty_order_stale((enum faulty_verb)i, 1);
    }
    fclose(file);
}

void faulty_order_stale(enum faulty_verb verb, int nth)
{
    faulty.stale[verb] = nth;
}

bool faulty_is_waiting(void)
{
    bool waits = faulty.commit > 0;

    for (int i = 0; i < FAULTY_VERB_COUNT; i++)
        waits |= faulty.stale[i] > 0;
    return waits;
}

/* Whether it rejects writes. */
static bool is_stuck(const struct store *store)
{
    return store == faulty.failed || store == faulty.doubtful;
}

static bool is_stale(enum faulty_verb verb)
{
    if (!is_due(&faulty.stale[verb]))
        return false;
    if (getenv("FAULTY_ORDER"))
        fprintf(stderr, "the verb %s is stale, as ordered\n", verbs[verb]);
    return true;
}

/* The writing verbs; they fail once the commit has failed. */
#define WRITERS(X)                                                                                 \
    X(store_give_back, (struct store * store), (store))                                            \
    X(store_ensure_profile,                                                                        \
      (struct store * store, const char *name, struct store_profile *ret_profile),                 \
      (store, name, ret_profile))                                                                  \
    X(store_update_profile,                                                                        \
      (struct store * store, int64_t id, int is_active, int64_t last_activity),                    \
      (store, id, is_active, last_activity))                                                       \
    X(store_depend,                                                                                \
      (struct store * store, const int64_t *ids, size_t count, enum task_status *ret_statuses),    \
      (store, ids, count, ret_statuses))                                                           \
    X(store_claim,                                                                                 \
      (struct store * store, const struct store_claim *claim, struct task_list *ret_tasks),        \
      (store, claim, ret_tasks))                                                                   \
    X(store_wake,                                                                                  \
      (struct store * store, const struct store_waking *waking, struct task_list *ret_tasks,       \
       int64_t *ret_next),                                                                         \
      (store, waking, ret_tasks, ret_next))                                                        \
    X(store_report_attempt, (struct store * store, const struct store_attempt *attempt),           \
      (store, attempt))                                                                            \
    X(store_prune,                                                                                 \
      (struct store * store, const struct store_pruning *pruning, struct task_list *ret_removed),  \
      (store, pruning, ret_removed))                                                               \
    X(store_shift_retries, (struct store * store, int64_t step), (store, step))                    \
    X(store_take_dependants,                                                                       \
      (struct store * store, int limit, struct store_dependant **ret_dependants,                   \
       size_t *ret_count),                                                                         \
      (store, limit, ret_dependants, ret_count))                                                   \
    X(store_add_metrics,                                                                           \
      (struct store * store, int64_t profile_id, int64_t at, const struct metrics_bucket *bucket), \
      (store, profile_id, at, bucket))                                                             \
    X(store_put_minute,                                                                            \
      (struct store * store, int64_t profile_id, const struct metrics_minute *minute),             \
      (store, profile_id, minute))                                                                 \
    X(store_prune_metrics,                                                                         \
      (struct store * store, int64_t profile_id, int64_t span, int64_t before),                    \
      (store, profile_id, span, before))                                                           \
    X(store_put_uptime,                                                                            \
      (struct store * store, int64_t started_at, int64_t seen_at, int64_t last_event),             \
      (store, started_at, seen_at, last_event))                                                    \
    X(store_prune_uptime, (struct store * store, int64_t before), (store, before))                 \
    X(store_beat, (struct store * store), (store))                                                 \
    X(store_end_predecessors, (struct store * store), (store))                                     \
    X(store_retire_node, (struct store * store, const char *name), (store, name))                  \
    X(store_let_go, (struct store * store, int64_t task_id), (store, task_id))                     \
    X(store_let_go_of_dead, (struct store * store), (store))                                       \
    X(store_take_minute,                                                                           \
      (struct store * store, int64_t * ret_profile_id, struct metrics_minute * ret_minute),        \
      (store, ret_profile_id, ret_minute))                                                         \
    X(store_take_question, (struct store * store, char **ret_id), (store, ret_id))                 \
    X(store_forget_questions, (struct store * store), (store))                                     \
    X(store_add_question, (struct store * store, const char *id, const char *body),                \
      (store, id, body))                                                                           \
    X(store_answer_question,                                                                       \
      (struct store * store, const char *id, const char *answer, const char *by),                  \
      (store, id, answer, by))                                                                     \
    X(store_add_news, (struct store * store, const char *text, int64_t now), (store, text, now))   \
    X(store_prune_news, (struct store * store, int64_t before), (store, before))

/* Those among them that can be made stale. */
#define FENCED(X)                                                                                  \
    X(FAULTY_ADD, store_add,                                                                       \
      (struct store * store, const struct store_addition *addition, struct task *ret_known),       \
      (store, addition, ret_known))                                                                \
    X(FAULTY_CHANGE, store_change,                                                                 \
      (struct store * store, struct task * task, const struct task_fence *fence),                  \
      (store, task, fence))                                                                        \
    X(FAULTY_CANCEL, store_cancel,                                                                 \
      (struct store * store, struct task * task, const struct task_fence *fence,                   \
       bool *ret_has_dependants),                                                                  \
      (store, task, fence, ret_has_dependants))                                                    \
    X(FAULTY_FINISH, store_finish,                                                                 \
      (struct store * store, struct task * task, const struct task_fence *fence,                   \
       const struct store_attempt *attempt, bool *ret_has_dependants),                             \
      (store, task, fence, attempt, ret_has_dependants))                                           \
    X(FAULTY_REMOVE_PROFILE, store_remove_profile, (struct store * store, int64_t id),             \
      (store, id))                                                                                 \
    X(FAULTY_ADOPT, store_adopt, (struct store * store, int64_t task_id), (store, task_id))        \
    X(FAULTY_END_NODE, store_end_node, (struct store * store, int64_t id, int64_t pass),           \
      (store, id, pass))

#define X(name, parameters, arguments)                                                             \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return is_stuck(store) ? REFUSAL : __real_##name arguments;                                \
    }
WRITERS(X)
#undef X

#define X(verb, name, parameters, arguments)                                                       \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        take_order();                                                                              \
        if (is_stuck(store))                                                                       \
            return REFUSAL;                                                                        \
        return is_stale(verb) ? STORE_STALE : __real_##name arguments;                             \
    }
FENCED(X)
#undef X

int __real_store_commit(struct store *store);
int __wrap_store_commit(struct store *store);
int __wrap_store_resolve(struct store *store);
void __real_store_rollback(struct store *store);
void __wrap_store_rollback(struct store *store);
bool __real_store_has_failed(const struct store *store);
bool __wrap_store_has_failed(const struct store *store);
const char *__real_store_error(const struct store *store);
const char *__wrap_store_error(const struct store *store);
void __real_store_close(struct store *store);
void __wrap_store_close(struct store *store);

/* A refused pass stays open until it is rolled back, as after a full disk. */
int __wrap_store_commit(struct store *store)
{
    int r;

    if (is_stuck(store))
        return REFUSAL;
    take_order();
    if (store_is_writing(store) && !__real_store_has_failed(store) && is_due(&faulty.commit)) {
        r = faulty.how == FAULTY_UNSEEN ? __real_store_commit(store) : 0;
        if (r < 0)
            return r;
        faulty.complaining = store;
        if (faulty.how == FAULTY_REFUSED) {
            faulty.failed = store;
            return REFUSAL;
        }
        faulty.doubtful = store;
        faulty.doubt = faulty.how;
        return STORE_UNKNOWN;
    }
    r = __real_store_commit(store);
    if (r == 0 && store == faulty.complaining)
        faulty.complaining = NULL;
    return r;
}

int __wrap_store_resolve(struct store *store)
{
    take_order();
    if (store != faulty.doubtful)
        return store == faulty.failed ? REFUSAL : 0;
    if (faulty.is_silent)
        return STORE_UNKNOWN;
    faulty.doubtful = NULL;
    if (faulty.doubt == FAULTY_LOST) {
        faulty.failed = store;
        return REFUSAL;
    }
    faulty.complaining = NULL;
    return 0;
}

void __wrap_store_rollback(struct store *store)
{
    __real_store_rollback(store);
    if (store == faulty.failed)
        faulty.failed = NULL;
}

bool __wrap_store_has_failed(const struct store *store)
{
    return store == faulty.failed || __real_store_has_failed(store);
}

const char *__wrap_store_error(const struct store *store)
{
    return store == faulty.complaining ? "it was ordered to fail" : __real_store_error(store);
}

/* Another handle may get the same address. */
void __wrap_store_close(struct store *store)
{
    __real_store_close(store);
    if (store == faulty.doubtful)
        faulty.doubtful = NULL;
    if (store == faulty.failed)
        faulty.failed = NULL;
    if (store == faulty.complaining)
        faulty.complaining = NULL;
}
