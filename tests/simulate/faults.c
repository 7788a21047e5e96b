/* SPDX-License-Identifier: MIT */
/* Faults of passes, of attempts and of what is told. */
#include "faults_table.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "engine/audit.h"
#include "engine/judge.h"
#include "engine/queue.h"
#include "engine/reload.h"
#include "engine/runner_lease.h"
#include "engine/settle.h"
#include "engine/state.h"
#include "engine/wake.h"
#include "rpc/call.h"
#include "rpc/connection.h"
#include "rpc/server.h"
#include "run/acp.h"
#include "run/acp_codec.h"
#include "run/acp_turn.h"
#include "run/run_log.h"
#include "setting.h"
#include "store/sqlite_files.h"
#include "store/store.h"
#include "world.h"

#define FAULT(name, text) [FAULT_##name] = text,
static const char *const names[] = {FAULTS};
#undef FAULT

enum fault faults_current;

const char *faults_name(size_t number)
{
    return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

size_t faults_find(const char *name)
{
    size_t number = 0;

    while (number < ARRAY_SIZE(names) && strcmp(names[number], name) != 0)
        number++;
    return number;
}

void faults_put_in(size_t number)
{
    faults_current = (enum fault)number;
}

/* --- the pass -----------------------------------------------------------------------------------
 */

REPLACE(int, store_commit, struct store *store)
{
    if (!store_is_writing(store) || !faults_strike(FAULT_COMMIT))
        return REAL(store_commit)(store);
    store_rollback(store);
    return 0;
}

REPLACE(int, sqlite3_file_control, sqlite3 *db, const char *name, int operation, void *data)
{
    return faults_current == FAULT_REMAINS && operation == SQLITE_FCNTL_JOURNAL_POINTER
               ? SQLITE_ERROR
               : REAL(sqlite3_file_control)(db, name, operation, data);
}

REPLACE(int, engine_commit, struct engine *engine, int r)
{
    if (faults_current == FAULT_EARLY_REPLY)
        daemon_send_replies();
    if (faults_current == FAULT_EARLY_START && engine->supervisor)
        engine_launch(engine);
    r = REAL(engine_commit)(engine, r);
    daemon_note_commit(r);
    faults_note_end_of_pass(r);
    return r;
}

REPLACE(void, rpc_fail, struct rpc_server *server)
{
    if (faults_current != FAULT_KEPT_REPLY)
        REAL(rpc_fail)(server);
}

REPLACE(void, settle_rollback, struct engine *engine)
{
    if (faults_current != FAULT_GHOST)
        REAL(settle_rollback)(engine);
}

REPLACE(void, settle_commit, struct engine *engine)
{
    REAL(settle_commit)(engine);
    if (engine->profile_count && faults_strike(FAULT_SLOT))
        engine->profiles[0]->slots_used++;
}

REPLACE(void, reload_commit, struct engine *engine)
{
    bool reloads = engine->staged.is_set;

    if (reloads && engine->profile_count && faults_strike(FAULT_UNASKED_PAUSE))
        EXPECT(engine_set_active(engine, engine->profiles[0], false) == 0);
    REAL(reload_commit)(engine);
    for (size_t i = 0; reloads && i < engine->profile_count; i++) {
        struct profile_config *config = &engine->profiles[i]->config;

        if (faults_current == FAULT_LIMIT)
            config->max_concurrent_tasks = 3;
        if (faults_current == FAULT_ROOM)
            config->queue_limit *= 2;
    }
}

/* --- attempts -----------------------------------------------------------------------------------
 */

REPLACE(void, run_stop, struct run *run)
{
    if (!faults_strike(FAULT_STOP))
        REAL(run_stop)(run);
}

REPLACE(void, run_log_free, struct run_log *log)
{
    if (!faults_strike(FAULT_DESCRIPTOR))
        REAL(run_log_free)(log);
}

REPLACE(int, settle_attempt, struct attempt *attempt)
{
    int r = REAL(settle_attempt)(attempt);

    if (r == 0 && attempt->state == ATTEMPT_SETTLED && faults_strike(FAULT_TWICE))
        profile_stage_counts(attempt->profile)->by_status[TASK_RUNNING]--;
    return r;
}

REPLACE(void, judge_end, struct attempt *attempt, const struct run_end *end)
{
    REAL(judge_end)(attempt, end);
    attempt->is_shortage &= faults_current != FAULT_SHORTAGE;
}

REPLACE(void, attempt_stop, struct attempt *attempt, enum error_class class)
{
    if (faults_current != FAULT_SURVIVOR || !attempt->lease || class != ERROR_CANCELLED)
        REAL(attempt_stop)(attempt, class);
}

REPLACE(int, runner_lease_adopt_all, struct engine *engine)
{
    return faults_current == FAULT_LEASES ? 0 : REAL(runner_lease_adopt_all)(engine);
}

REPLACE(int, engine_extend, struct engine *engine, int64_t id, const char *token,
        int64_t *ret_until)
{
    int64_t until = 0;
    int r;

    list_for_each (before, &engine->attempts) {
        const struct attempt *attempt = list_entry(before, struct attempt, link);

        until = attempt->task_id == id ? attempt->lease_until : until;
        if (faults_current == FAULT_BEYOND && attempt->task_id == id &&
            attempt->timeout_at < engine->now.mono + SETTING_LEASE_MS) {
            *ret_until = engine->now.wall + SETTING_LEASE_MS;
            return 0;
        }
    }
    r = REAL(engine_extend)(engine, id, token, ret_until);
    list_for_each (after, &engine->attempts) {
        struct attempt *attempt = list_entry(after, struct attempt, link);

        if (faults_current != FAULT_EXTEND || r || attempt->task_id != id || !attempt->lease)
            continue;
        attempt->lease_until = until;
        attempt_arm(attempt);
    }
    return r;
}

REPLACE(int, settle_overdue_step, struct engine *engine)
{
    return faults_current == FAULT_EXPIRY ? 0 : REAL(settle_overdue_step)(engine);
}

REPLACE(struct attempt *, attempt_new, struct engine *engine, struct profile *profile,
        struct task *task, const struct runner *runner)
{
    struct attempt *attempt = REAL(attempt_new)(engine, profile, task, runner);

    if (faults_current == FAULT_REMOVED && profile->is_removed)
        attempt->timeout_at = engine->now.mono;
    return attempt;
}

REPLACE(int, engine_finish, struct engine *engine, int64_t id, const char *token,
        enum error_class class, const char *message, const char *result, struct task *ret_task)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (faults_current == FAULT_FENCE && attempt->task_id == id && attempt->lease)
            token = attempt->lease;
    }
    if (class == ERROR_LIMIT && faults_current == FAULT_CLASS)
        class = ERROR_EXIT;
    if (message && faults_strike(FAULT_MESSAGE))
        message = NULL;
    return REAL(engine_finish)(engine, id, token, class, message, result, ret_task);
}

REPLACE(enum task_status, retry_decide, struct task *task, enum error_class class,
        const struct profile_config *profile, int64_t completed, double chance_of_delay,
        int64_t *ret_delay_ms)
{
    struct profile_config generous = *profile;

    generous.max_attempts += faults_current == FAULT_ATTEMPTS;
    return REAL(retry_decide)(task, class, &generous, completed, chance_of_delay, ret_delay_ms);
}

REPLACE(void, acp_turn_answer, struct acp_turn *turn, struct acp_question *question,
        const char *option, const char *by, int64_t now)
{
    bool is_no = option && strcmp(option, "no") == 0;

    REAL(acp_turn_answer)
    (turn, question, is_no && faults_current == FAULT_ANSWER ? "yes" : option, by, now);
}

REPLACE(int, sqlite_files_backup, const char *from, const char *to, char **ret_info,
        char **ret_error)
{
    int r = REAL(sqlite_files_backup)(from, to, ret_info, ret_error);
    sqlite3 *db = NULL;

    if (faults_current != FAULT_BACKUP || r < 0)
        return r;
    EXPECT(sqlite3_open_v2(to, &db, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK &&
           sqlite3_exec(db, "DELETE FROM attempt", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
    return r;
}

REPLACE(void, acp_stop, struct acp *acp)
{
    if (faults_current != FAULT_AGENT)
        REAL(acp_stop)(acp);
}

REPLACE(bool, param_check, const struct param *params, struct json_value *object,
        const struct settings *settings, struct param_error *ret_error)
{
    return REAL(param_check)(params, object, settings, ret_error) || faults_strike(FAULT_UNCHECKED);
}

REPLACE(struct profile *, engine_find_profile, const struct engine *engine, const char *name)
{
    struct profile *found = REAL(engine_find_profile)(engine, name);

    return !found && engine->profile_count && faults_current == FAULT_UNKNOWN ? engine->profiles[0]
                                                                              : found;
}

REPLACE(bool, connection_is_congested, const struct connection *connection)
{
    return faults_current != FAULT_OUTPUT && REAL(connection_is_congested)(connection);
}

REPLACE(size_t, turn_take, struct connection *connection)
{
    if (faults_current == FAULT_LINES)
        connection->pass = 0;
    if (faults_current == FAULT_WEDGED && connection->partial) {
        ready_rest(connection);
        return 0;
    }
    return REAL(turn_take)(connection);
}

REPLACE(void, acp_codec_set_option, struct acp_codec *codec, const char *session,
        const char *option, const char *value)
{
    REAL(acp_codec_set_option)
    (codec, session, option, faults_current == FAULT_SETTING ? "m0" : value);
}

/* --- the audit log ------------------------------------------------------------------------------
 */

REPLACE(void, audit_init, struct audit *audit, const char *path)
{
    if (faults_current == FAULT_NEW_LOG && truncate(path, 0) < 0)
        EXPECT(errno == ENOENT);
    REAL(audit_init)(audit, path);
}

REPLACE(int, rename, const char *from, const char *to)
{
    return faults_current == FAULT_OLD_LOG && strstr(from, "/audit.log") ? unlink(from)
                                                                         : REAL(rename)(from, to);
}

REPLACE(void, audit_stage, struct audit *audit, const struct audit_entry *entry)
{
    struct audit_entry other = *entry;

    if (faults_strike(FAULT_LINE))
        return;
    if (faults_strike(FAULT_LINE_TWICE))
        REAL(audit_stage)(audit, entry);
    other.pid += faults_strike(FAULT_CALLER);
    other.task_id -= other.task_id > 1 && faults_strike(FAULT_LINE_TASK);
    REAL(audit_stage)(audit, &other);
}

REPLACE(void, audit_commit, struct audit *audit, int64_t limit)
{
    if (faults_strike(FAULT_LATE_LINE))
        return;
    if (audit->staged.len && faults_strike(FAULT_HALF_LINE))
        audit->staged.len -= 2;
    REAL(audit_commit)(audit, limit);
    if (audit->failure && faults_current == FAULT_FORGOTTEN_LINE)
        buf_clear(&audit->pending);
}

REPLACE(void, engine_get_storage, const struct engine *engine, struct engine_storage *ret_storage)
{
    REAL(engine_get_storage)(engine, ret_storage);
    if (faults_current == FAULT_SILENCE)
        ret_storage->audit_failure = 0;
}

REPLACE(void, audit_rollback, struct audit *audit)
{
    if (faults_current != FAULT_GHOST_LINE)
        REAL(audit_rollback)(audit);
}

/* --- what is told -------------------------------------------------------------------------------
 */

REPLACE(bool, call_batch_finish, struct batch *batch, struct connection *connection)
{
    struct list *first = batch->calls.next;

    if (!list_is_empty(&batch->calls) && faults_strike(FAULT_BATCH)) {
        list_remove(first);
        list_append(&batch->calls, first);
    }
    return REAL(call_batch_finish)(batch, connection);
}

REPLACE(void, dispatch_partial, struct connection *connection)
{
    struct rpc_call *call = connection->partial;

    if (faults_current == FAULT_PART)
        call->progress.at = 0;
    if (faults_current == FAULT_REST)
        call->progress.at++;
    REAL(dispatch_partial)(connection);
}

REPLACE(void, event_stage, struct event_log *log, const struct event *event)
{
    if (!faults_strike(FAULT_EVENT))
        REAL(event_stage)(log, event);
}

REPLACE(void, subscription_start, struct connection *connection, const int64_t *profiles,
        size_t count, int64_t after)
{
    REAL(subscription_start)
    (connection, profiles, count, profiles && faults_current == FAULT_FILTER ? -1 : after);
}

REPLACE(void, event_rollback, struct event_log *log)
{
    if (faults_current != FAULT_GHOST_EVENT)
        REAL(event_rollback)(log);
}

REPLACE(int, store_last_event, struct store *store, int64_t *ret_number)
{
    int r = REAL(store_last_event)(store, ret_number);

    if (faults_current == FAULT_NUMBERS)
        *ret_number = 0;
    return r;
}
