/* SPDX-License-Identifier: MIT */
/*
 * Admission of a task: its key, its dependencies, and room in a queue.
 *
 * A full queue follows the profile's `overflow`: it rejects the task, reroutes it to the next best
 * profile with room, or evicts its last queued task, if that ranks after the new one. This is
 * decided only here: retries and moves neither evict nor reroute.
 */
#include <errno.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "engine/attempt.h"
#include "engine/fleet.h"
#include "engine/queue.h"
#include "engine/room.h"

/* Which of the tasks that it depends on decides: one that failed, else one that has not finished;
 * *ret_status is TASK_COMPLETED when none is left. */
static int admission_check_dependencies(struct engine *engine, struct engine_admission *admission,
                                        int64_t *ret_id, enum task_status *ret_status)
{
    size_t count = admission->depends_on_count;
    CLEANUP(freep) enum task_status *statuses = xcalloc(count + 1, sizeof(*statuses));
    int r = count ? store_depend(engine->store, admission->depends_on, count, statuses) : 0;

    if (r < 0)
        return r;
    *ret_status = TASK_COMPLETED;
    for (size_t i = 0; i < count; i++) {
        if (statuses[i] == TASK_NEW) {
            admission->missing = i;
            return ENGINE_NO_DEPENDENCY;
        }
        /* A failed one decides, otherwise the first unfinished one. */
        if (statuses[i] == TASK_COMPLETED ||
            (*ret_status != TASK_COMPLETED &&
             (task_status_is_finished(*ret_status) || !task_status_is_finished(statuses[i]))))
            continue;
        *ret_id = admission->depends_on[i];
        *ret_status = statuses[i];
    }
    admission->is_blocked = *ret_status != TASK_COMPLETED;
    return 0;
}

/* The profile that gets the task instead of a full one, with the decision. */
static int admission_reroute(struct engine *engine, struct engine_admission *admission)
{
    CLEANUP(freep) struct router_candidate *candidates = NULL;
    const struct profile *full = admission->profile;
    size_t count, fit = engine_route(engine, admission, &candidates, &count);
    struct buf routing = {0};

    if (!fit)
        return ENGINE_QUEUE_FULL;
    admission->profile = candidates[0].profile;
    json_out_object(&routing, NULL);
    json_out_text(&routing, "bestProfile", admission->profile->config.name);
    json_out_text(&routing, "reroutedFrom", full->config.name);
    engine_print_decision(candidates, count, fit, full, &routing);
    json_out_end_object(&routing);
    free(admission->task->routing);
    admission->task->routing = buf_take(&routing);
    return 0;
}

/* What is known here of the length of a queue is a hint if other nodes add to it and take from it.
 */
static int admission_find_room(struct engine *engine, const struct engine_admission *admission,
                               struct task *ret_last)
{
    const struct profile *profile = admission->profile;
    int64_t waiting = profile_waiting(profile);
    int r = store_node(engine->store) ? store_count_waiting(engine->store, profile->id, &waiting)
                                      : STORE_DONE;

    if (r != STORE_DONE)
        return r < 0 ? r : ENGINE_REMOVED;
    return room_find(engine, profile, waiting, admission, ret_last);
}

/* Finds room for the task, in another queue if necessary; *ret_last must be evicted if its id is
 * not 0. */
static int admission_make_room(struct engine *engine, struct engine_admission *admission,
                               struct task *ret_last)
{
    int r = admission_find_room(engine, admission, ret_last);

    if (r || ret_last->id)
        return r < 0 ? r : 0;
    if (admission->profile->config.overflow != OVERFLOW_REROUTE)
        return ENGINE_QUEUE_FULL;
    r = admission_reroute(engine, admission);
    if (r)
        return r;
    r = admission_find_room(engine, admission, ret_last); /* which task would be evicted? */
    return r < 0 ? r : 0;
}

static int admission_evict(struct engine *engine, struct profile *profile, struct task *last,
                           const struct task *by)
{
    int r = queue_cancel(
        engine, profile, last,
        xasprintf(
            "evicted to make room for task %lld, which ranks higher: the queue of \"%s\" was full "
            "(queueLimit %lld)",
            (long long)by->id, profile->config.name, (long long)profile->config.queue_limit));

    return r == ENGINE_STALE ? 0 : r; /* it has made room by itself */
}

/* Processes of attempts may submit tasks, up to a depth. */
static int admission_note_submitter(const struct engine *engine, struct engine_admission *admission)
{
    const struct attempt *attempt = attempt_find_run(engine, admission->run);

    if (!attempt)
        return 0;
    admission->task->submitted_by = attempt->task_id;
    admission->task->depth = attempt->task.depth + 1;
    return admission->task->depth > engine->settings.submit_depth ? ENGINE_TOO_DEEP : 0;
}

int engine_assign(struct engine *engine, struct profile *profile,
                  struct engine_admission *admission)
{
    CLEANUP(task_deinit) struct task last = {0};
    struct task *task = admission->task;
    enum task_status worst;
    int64_t id = 0;
    int r;

    if (engine->is_stopping)
        return -ESHUTDOWN;
    admission->profile = profile;
    if (task->key) {
        struct task first = {0};

        r = store_get_task_by_key(engine->store, task->key, &first);
        if (r < 0)
            return r;
        if (r > 0) {
            task_deinit(task);
            *task = first;
            return ENGINE_DEDUPLICATED;
        }
    }
    if (admission->request.node && (!fleet_may_have(engine, admission->request.node) ||
                                    !profile_runs_on(profile, admission->request.node)))
        return ENGINE_NO_NODE;
    r = admission_note_submitter(engine, admission);
    if (r == 0)
        r = admission_check_dependencies(engine, admission, &id, &worst);
    if (r == 0)
        r = admission_make_room(engine, admission, &last);
    if (r == 0)
        r = queue_add(engine, admission, admission->profile->config.queue_limit + (last.id != 0));
    if (r == 0 && last.id)
        r = admission_evict(engine, admission->profile, &last, task);
    if (r == 0 && task_status_is_finished(worst) && worst != TASK_COMPLETED)
        r = queue_cancel_dependant(engine, admission->profile, task, id, worst);
    return r;
}
