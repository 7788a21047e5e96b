/* SPDX-License-Identifier: MIT */
/*
 * The database beneath the verbs: prepared statements, values and the transaction, whichever
 * engine it is. The verbs (db_*.c) say what is asked in SQL that every engine understands;
 * where their dialects differ, an engine has a text of its own.
 */
#pragma once

#include "store/store.h"

/* The columns of `task` in the order in which rows are read, and their checksum. The columns of
 * the lease (token, length, holder) are NULL unless a worker runs the task. */
#define TASK_FIELDS   TASK_FIELDS_5 ", lease_token, lease_ms, lease_worker"
#define TASK_FIELDS_5 /* of schema 5 */                                                            \
    "id, profile_id, status, priority, place, created_at, started_at, finished_at, run_at, "       \
    "ready_at, queued_at, timeout, max_attempts, attempt, spent, retries, interruptions, "         \
    "error_class, error_message, key, result, routing, body, type, bytes, cooldowns, "             \
    "completed_then, submitted_by, depth, error_tail"
#define TASK_FIELD_COUNT 33
#define LEASE_COLUMN     30
#define TASK_COLUMNS     TASK_FIELDS ", crc"

/* The partial index task_live covers unfinished tasks; task_profile covers tasks that are not
 * running, which saves a write per claim. SQLite uses them only for queries that repeat their
 * conditions. */
#define LIVE    "status <= 4"
#define AT_REST "status <> 4"

/* Whether profile ?1 has metrics or attempts. */
#define HAS_HISTORY                                                                                \
    "(EXISTS (SELECT 1 FROM bucket WHERE profile_id = ?1) OR "                                     \
    "EXISTS (SELECT 1 FROM attempt INDEXED BY attempt_recent WHERE counts AND profile_id = ?1))"

/* All statements. */
#define STATEMENTS(X)                                                                              \
    X(ADD_PROFILE, "INSERT INTO profile (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")         \
    X(GET_PROFILE, "SELECT * FROM profile WHERE name = ?1")                                        \
    X(LIST_PROFILES, "SELECT * FROM profile ORDER BY name")                                        \
    X(UPDATE_PROFILE,                                                                              \
      "UPDATE profile SET queued = queued + ?2, scheduled = scheduled + ?3, "                      \
      "blocked = blocked + ?4, running = running + ?5, completed = completed + ?6, "               \
      "failed = failed + ?7, cancelled = cancelled + ?8, is_active = coalesce(?9, is_active), "    \
      "last_activity = coalesce(?10, last_activity), "                                             \
      "finished_bytes = finished_bytes + ?11, minute_at = coalesce(?12, minute_at), "              \
      "minute_queue_max = coalesce(?13, minute_queue_max), "                                       \
      "minute = CASE WHEN ?12 IS NULL THEN minute ELSE ?14 END WHERE id = ?1")                     \
    X(COUNT_WAITING, "SELECT queued + scheduled + blocked FROM profile WHERE id = ?1")             \
    X(NEXT_ID, "SELECT coalesce(max(id), 0) + 1 FROM task")                                        \
    X(HAS_HISTORY, "SELECT " HAS_HISTORY)                                                          \
    X(REMOVE_PROFILE,                                                                              \
      "DELETE FROM profile WHERE id = ?1 "                                                         \
      "AND NOT EXISTS (SELECT 1 FROM task WHERE profile_id = ?1 AND status <> 4) "                 \
      "AND NOT EXISTS (SELECT 1 FROM task WHERE profile_id = ?1 AND status = 4 AND status <= 4) "  \
      "AND NOT " HAS_HISTORY)                                                                      \
    X(ADD_TASK, "INSERT INTO task (" TASK_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, " \
                "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, " \
                "?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)")                                    \
    X(GET_TASK, "SELECT " TASK_COLUMNS " FROM task WHERE id = ?1")                                 \
    X(GET_TASK_BY_KEY, "SELECT " TASK_COLUMNS " FROM task WHERE key = ?1")                         \
    X(SAVE_TASK, /* the parameters of ADD_TASK, as far as columns change */                        \
      "UPDATE task SET profile_id = ?2, status = ?3, priority = ?4, place = ?5, started_at = ?7, " \
      "finished_at = ?8, run_at = ?9, ready_at = ?10, queued_at = ?11, attempt = ?14, "            \
      "spent = ?15, retries = ?16, interruptions = ?17, error_class = ?18, error_message = ?19, "  \
      "result = ?21, bytes = ?25, cooldowns = ?26, completed_then = ?27, error_tail = ?30, "       \
      "lease_token = ?31, lease_ms = ?32, lease_worker = ?33, crc = ?34 "                          \
      "WHERE id = ?1 AND status = ?35 AND attempt = ?36 AND crc = coalesce(?37, crc)")             \
    X(GET_STATUS, "SELECT status FROM task WHERE id = ?1")                                         \
    X(LAST_QUEUED, "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE            \
                   " AND status = 1 AND profile_id = ?1 ORDER BY place DESC, id DESC LIMIT 1")     \
    X(OLDEST_FINISHED, "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_age WHERE status > 4 "   \
                       "AND id < (SELECT max(id) FROM task) "                                      \
                       "AND NOT EXISTS (SELECT 1 FROM release WHERE task_id = task.id) "           \
                       "AND task_crc(" TASK_FIELDS ") = crc ORDER BY finished_at LIMIT 1")         \
    X(REMOVE_TASK, "DELETE FROM task WHERE id = ?1 AND status > 4")                                \
    X(REMOVE_ATTEMPTS, "DELETE FROM attempt WHERE task_id = ?1")                                   \
    X(REMOVE_DEPENDENCIES, "DELETE FROM dependency WHERE task_id = ?1")                            \
    X(REMOVE_DEPENDANTS, "DELETE FROM dependency WHERE depends_on = ?1")                           \
    X(ADD_DEPENDENCY, "INSERT INTO dependency VALUES (?2, ?1) ON CONFLICT DO NOTHING")             \
    X(UNMET_DEPENDENCY, /* a bare column is that of the row with the maximum */                    \
      "SELECT depends_on, max(CASE status WHEN 5 THEN 0 ELSE status END) FROM dependency "         \
      "INDEXED BY dependency_of CROSS JOIN task ON id = depends_on WHERE task_id = ?1")            \
    X(HAS_DEPENDENCIES, "SELECT 1 FROM dependency LIMIT 1")                                        \
    X(ADD_RELEASE, "INSERT INTO release SELECT ?1, 0 "                                             \
                   "WHERE EXISTS (SELECT 1 FROM dependency WHERE depends_on = ?1) ON CONFLICT "    \
                   "(task_id) DO UPDATE SET after = 0")                                            \
    X(NEXT_RELEASE, "SELECT task_id, after FROM release LIMIT 1")                                  \
    X(MOVE_RELEASE, "UPDATE release SET after = ?2 WHERE task_id = ?1")                            \
    X(DROP_RELEASE, "DELETE FROM release WHERE task_id = ?1")                                      \
    X(NEXT_DEPENDANT, "SELECT " TASK_COLUMNS " FROM dependency CROSS JOIN task ON id = task_id "   \
                      "WHERE depends_on = ?1 AND task_id > ?2 AND status = 3 "                     \
                      "ORDER BY task_id LIMIT 1")                                                  \
    X(NEXT_OF_STATUS,                                                                              \
      "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE                         \
      " AND status = ?1 AND profile_id = ?2 AND id <> ?3 ORDER BY place, id LIMIT 1")              \
    X(QUEUE_HEAD, "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE             \
                  " AND status = 1 AND profile_id = ?1 ORDER BY place, id LIMIT ?2")               \
    X(LIST_RUNNING_BY,                                                                             \
      "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE                         \
      " AND status = 4 AND (profile_id, place) > (?1, ?2) AND (lease_token IS NOT NULL) = ?3 "     \
      "ORDER BY profile_id, place LIMIT ?4")                                                       \
    X(COUNT_BEFORE,                                                                                \
      "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_live WHERE " LIVE                  \
      " AND status = ?1 AND profile_id = ?2 AND (place, id) < (?3, ?4) LIMIT ?5) AS found")        \
    X(COUNT_BEHIND,                                                                                \
      "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_live WHERE " LIVE                  \
      " AND status = ?1 AND profile_id = ?2 AND (place, id) > (?3, ?4) LIMIT ?5) AS found")        \
    X(OLDEST_QUEUED, "SELECT min(ready_at) FROM (SELECT ready_at FROM task INDEXED BY task_live "  \
                     "WHERE " LIVE " AND status = 1 AND profile_id = ?1 ORDER BY place, id "       \
                     "LIMIT ?2) AS first")                                                         \
    X(LAST_CLOCK, "SELECT max(max(ready_at, queued_at)) FROM (SELECT * FROM task "                 \
                  "ORDER BY id DESC LIMIT 100) WHERE task_crc(" TASK_FIELDS ") = crc")             \
    X(SHIFT_RETRIES,                                                                               \
      "UPDATE task SET place = place + ?1, crc = task_crc(id, profile_id, status, priority, "      \
      "place + ?1, created_at, started_at, finished_at, run_at, ready_at, queued_at, timeout, "    \
      "max_attempts, attempt, spent, retries, interruptions, error_class, error_message, key, "    \
      "result, routing, body, type, bytes, cooldowns, completed_then, submitted_by, "              \
      "depth, error_tail, NULL, NULL, NULL) "                                                      \
      "WHERE " LIVE " AND status = 2 AND place <> run_at AND task_crc(" TASK_FIELDS ") = crc")     \
    X(LIST_STATUS, "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE            \
                   " AND status = ?1 AND profile_id = ?2 AND (place, id) > (?3, ?4) "              \
                   "ORDER BY place, id LIMIT ?5")                                                  \
    X(LIST_TASKS, "SELECT " TASK_COLUMNS " FROM task WHERE id < ?1 ORDER BY id DESC LIMIT ?2")     \
    X(LAST_OF_STATUS, "SELECT id FROM task INDEXED BY task_profile WHERE " AT_REST                 \
                      " AND profile_id = ?1 AND status = ?2 AND id < ?3 ORDER BY id DESC LIMIT 1") \
    X(LAST_RUNNING, /* at most as many as there are slots */                                       \
      "SELECT max(id) FROM task INDEXED BY task_live WHERE " LIVE                                  \
      " AND status = ?2 AND profile_id = ?1 AND id < ?3")                                          \
    X(LIST_PROFILE_IDS, "SELECT id FROM profile")                                                  \
    X(ADD_ATTEMPT,                                                                                 \
      "INSERT INTO attempt VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")       \
    X(REPORT_ATTEMPT, "UPDATE attempt SET usage = ?3, cost = ?4, currency = ?5 "                   \
                      "WHERE task_id = ?1 AND number = ?2")                                        \
    X(RECENT_ATTEMPTS,                                                                             \
      "SELECT error_class, duration, type FROM attempt INDEXED BY attempt_recent "                 \
      "WHERE counts AND profile_id = ?1 ORDER BY finished_at DESC LIMIT ?2")                       \
    X(GET_BUCKET, "SELECT data FROM bucket WHERE profile_id = ?1 AND span = ?2 AND at = ?3")       \
    X(PUT_BUCKET, "INSERT INTO bucket VALUES (?1, ?2, ?3, ?4) ON CONFLICT (profile_id, span, at) " \
                  "DO UPDATE SET data = excluded.data")                                            \
    X(LIST_BUCKETS, "SELECT data, at FROM bucket "                                                 \
                    "WHERE profile_id = ?1 AND span = ?2 AND at >= ?3 AND at < ?4 ORDER BY at")    \
    X(PRUNE_BUCKETS,                                                                               \
      "DELETE FROM bucket WHERE profile_id = ?2 AND span = ?3 AND at <= (SELECT max(at) FROM "     \
      "(SELECT at FROM bucket WHERE profile_id = ?2 AND span = ?3 AND at < ?4 ORDER BY at "        \
      "LIMIT ?1) AS first)")                                                                       \
    X(PUT_UPTIME, "INSERT INTO uptime VALUES (?1, ?2, ?3) ON CONFLICT (started_at) DO UPDATE SET " \
                  "seen_at = max(seen_at, excluded.seen_at), "                                     \
                  "last_event = max(last_event, excluded.last_event)")                             \
    X(LAST_EVENT, "SELECT max(last_event) FROM uptime")                                            \
    X(LIST_UPTIME, "SELECT started_at, seen_at FROM uptime WHERE started_at < ?2 AND "             \
                   "seen_at >= ?1 ORDER BY started_at")                                            \
    X(PRUNE_UPTIME, "DELETE FROM uptime WHERE started_at IN (SELECT started_at FROM uptime "       \
                    "WHERE started_at < ?2 AND seen_at < ?2 ORDER BY started_at LIMIT ?1)")

/* Those of an engine that several acpd may share; the others have no texts for them. A node is a
 * row for each start of an acpd; other users of the store have rows without names. A row of a task
 * names the node that its processes, or its worker, belong to, as long as they may exist. If that
 * node is not there any more, they are nobody's. */
#define DEAD "node_id NOT IN (SELECT id FROM node WHERE name IS NOT NULL)"
/* An open question of another node than ?1 that is still there. */
#define OPEN "node_id <> ?1 AND answer IS NULL AND node_id IN (SELECT id FROM node)"
/* Whether the node whose id follows may run the task; ends with two brackets. */
#define MAY_RUN_ON     "(only_node IS NULL OR only_node = (SELECT name FROM node WHERE id = "
#define QUEUED_FOR_ONE "status = 1 AND only_node IS NOT NULL AND profile_id = ?1"
#define SHARED_STATEMENTS(X)                                                                       \
    X(LIST_NODES, "SELECT id, name, url, version, pass, is_retiring, config_sum, "                 \
                  "(SELECT count(*) FROM task WHERE " LIVE " AND status = 4 "                      \
                  "AND node_id = node.id) + (SELECT count(*) FROM task WHERE node_id IS NOT NULL " \
                  "AND status > 4 AND node_id = node.id) FROM node "                               \
                  "WHERE name IS NOT NULL ORDER BY name")                                          \
    X(PUT_CONFIG, "UPDATE node SET config = ?2, config_sum = ?3 WHERE id = ?1")                    \
    X(GET_CONFIG, "SELECT config FROM node WHERE id = ?1")                                         \
    X(END_NODE, "DELETE FROM node WHERE id = ?1 AND pass = ?2")                                    \
    X(END_PREDECESSORS, "DELETE FROM node WHERE place = (SELECT place FROM node WHERE id = ?1) "   \
                        "AND id <> ?1")                                                            \
    X(RETIRE_NODE, "UPDATE node SET is_retiring = true WHERE name = ?1")                           \
    X(COUNT_HELD, /* and whether a task for another node comes before all that this one may run */ \
      "SELECT is_active, running + (SELECT count(*) FROM task WHERE profile_id = ?1 "              \
      "AND node_id IS NOT NULL AND status > 4), CASE WHEN EXISTS (SELECT 1 FROM task "             \
      "WHERE " QUEUED_FOR_ONE ") THEN EXISTS (SELECT 1 FROM node, LATERAL (SELECT place, id "      \
      "FROM task WHERE " QUEUED_FOR_ONE " AND only_node = node.name ORDER BY place, id LIMIT 1) "  \
      "AS theirs WHERE NOT is_retiring AND node.id <> ?2 AND (theirs.place, theirs.id) < "         \
      "(SELECT place, id FROM task WHERE " LIVE " AND status = 1 AND profile_id = ?1 "             \
      "AND " MAY_RUN_ON "?2)) ORDER BY place, id LIMIT 1)) ELSE false END "                        \
      "FROM profile WHERE id = ?1")                                                                \
    X(SAVE_SURELY, NULL) /* SAVE_TASK, but fails if the fence does not hold */                     \
    X(BEGIN, "BEGIN")                                                                              \
    X(SET_TIMEOUTS, "SELECT set_config('lock_timeout', ?1, true), "                                \
                    "set_config('idle_in_transaction_session_timeout', ?2, true), "                \
                    "set_config('client_connection_check_interval', '1s', true)")                  \
    X(LOCK_WRITERS, "SELECT pg_advisory_xact_lock(7013264)")                                       \
    X(MARK_NODE, NULL) /* counts the transaction; what the server says at its begin */             \
    X(ADOPT, "UPDATE task SET node_id = ?2, node = (SELECT name FROM node WHERE id = ?2) "         \
             "WHERE id = ?1 AND status = 4")                                                       \
    X(LET_GO, "UPDATE task SET node_id = NULL WHERE id = ?1 AND node_id = ?2 AND status > 4")      \
    X(LET_GO_OF_DEAD, "UPDATE task SET node_id = NULL WHERE node_id IS NOT NULL AND status > 4 "   \
                      "AND " DEAD)                                                                 \
    X(TAKE_MINUTE, "DELETE FROM share WHERE (profile_id, node_id) = (SELECT profile_id, node_id "  \
                   "FROM share WHERE " DEAD " LIMIT 1) "                                           \
                   "RETURNING profile_id, minute_at, minute_queue_max, minute")                    \
    X(LIST_MINUTES, "SELECT minute, minute_at FROM share WHERE profile_id = ?1 AND node_id <> ?2 " \
                    "AND minute_at > 0")                                                           \
    X(TAKE_QUESTION, "DELETE FROM question WHERE id = (SELECT id FROM question WHERE " DEAD        \
                     " LIMIT 1) RETURNING id")                                                     \
    X(FORGET_QUESTIONS, "DELETE FROM question WHERE node_id = ?1")                                 \
    X(ADD_QUESTION, "INSERT INTO question (id, node_id, body) VALUES (?1, ?2, ?3)")                \
    X(LIST_QUESTIONS, "SELECT id, body FROM question WHERE " OPEN " AND id > ?2 "                  \
                      "ORDER BY id LIMIT ?3")                                                      \
    X(GET_QUESTION, "SELECT body FROM question WHERE id = ?2 AND " OPEN)                           \
    X(ANSWER_QUESTION, "UPDATE question SET answer = ?2, answered_by = ?3 WHERE id = ?1 "          \
                       "AND answer IS NULL AND node_id IN (SELECT id FROM node)")                  \
    X(LIST_ANSWERS, "SELECT id, answer, answered_by FROM question WHERE node_id = ?1 "             \
                    "AND answer IS NOT NULL AND id > ?2 ORDER BY id LIMIT ?3")                     \
    X(ATTEMPT_NODE, "SELECT node FROM attempt WHERE task_id = ?1 AND number = ?2")                 \
    X(ADD_NEWS, "INSERT INTO news (node_id, at, body) VALUES (?1, ?2, ?3)")                        \
    X(LAST_NEWS, "SELECT max(id) FROM news")                                                       \
    X(LIST_NEWS, "SELECT id, node_id, body FROM news WHERE id > ?1 ORDER BY id LIMIT ?2")          \
    X(PRUNE_NEWS, "DELETE FROM news WHERE at < ?1")

#define X(name, sql) STMT_##name,
enum statement_name {
    STATEMENTS(X) STATEMENT_COUNT,
    STMT_LAST = STATEMENT_COUNT - 1,
    SHARED_STATEMENTS(X) ALL_STATEMENT_COUNT
};
#undef X

/* The first tasks of a queue; see db_head.c. */
struct db_head {
    struct task_list tasks; /* as they are stored, in their order; those before `at` are claimed */
    size_t at;
    int64_t last_place, last_id; /* of the last one */
    bool is_all;                 /* none is queued behind it */
};

static inline void db_head_free(struct db_head *head)
{
    if (head)
        task_list_deinit(&head->tasks);
    free(head);
}

/* What a transaction has claimed for a profile. */
struct db_claims {
    int64_t profile_id;
    size_t count;
    size_t row_max; /* bytes of the longest one, about */
};

/* Changes of the current pass to a profile's row; written by the commit. */
struct profile_change {
    int64_t profile_id;
    struct task_counts counts;     /* added */
    int is_active;                 /* -1: unchanged */
    int64_t last_activity;         /* 0: unchanged */
    int64_t waiting;               /* as stored in the row; -1: not read yet */
    int64_t held;                  /* tasks that are some node's, less those that this pass has
                                    * claimed; -1: not known */
    bool was_active;               /* as stored, if that is known */
    bool is_preceded;              /* a task for another node comes first, if that is known */
    struct metrics_minute *minute; /* NULL: unchanged */
    struct db_head *head;          /* NULL: not known */
    struct db_claims claims;
};

enum db_type { DB_NULL, DB_NUMBER, DB_TEXT, DB_OTHER };

struct db_value {
    enum db_type type;
    int64_t number;   /* 0 unless it is one */
    const char *text; /* terminated; NULL unless it is one */
};

/* A prepared statement of an engine, e.g. a sqlite3_stmt. */
struct db_prepared;

/* What an engine does. Parameters are numbered from 1, columns from 0. Texts and blobs have to live
 * until the statement has run; what is read lives until the statement's next step. */
struct db_engine {
    const char *type;   /* as store_type() says it */
    bool has_checksums; /* its rows have to match them; another engine checks its pages */
    void (*reset)(struct db_prepared *stmt);
    void (*clear)(struct db_prepared *stmt); /* all parameters are NULL */
    void (*bind_number)(struct db_prepared *stmt, int index, int64_t number);
    void (*bind_double)(struct db_prepared *stmt, int index, double number);
    void (*bind_text)(struct db_prepared *stmt, int index, const char *text);
    void (*bind_blob)(struct db_prepared *stmt, int index, const void *bytes, size_t len);
    /** Results as for db_step(). */
    int (*step)(struct store *store, struct db_prepared *stmt);
    /** Runs a statement whose result is not needed; a failure surfaces at the next step or the
     *  commit. NULL: the engine runs it at once. */
    int (*run_later)(struct store *store, struct db_prepared *stmt);
    struct db_value (*value)(struct db_prepared *stmt, int column);
    /** NULL: it is NULL. */
    const void *(*blob)(struct db_prepared *stmt, int column, size_t *ret_len);
    /** Rows that the last statement has changed. */
    int64_t (*changes)(struct store *store);

    /* The transaction; results as for store_commit(). begin() takes the one lock that all writers
     * share, so that what a verb reads stays valid until the commit. It may say what the next id
     * is, and whether there are dependencies. */
    int (*begin)(struct store *store);
    int (*commit)(struct store *store);
    int (*resolve)(struct store *store); /* NULL: a commit's outcome is always known */
    void (*rollback)(struct store *store);

    /** Wall ms by the clock that all who share the store have in common. NULL: this machine's. */
    int64_t (*wall_ms)(const struct store *store);
    /** See store_valid_until(). NULL: no end. */
    int64_t (*valid_until)(const struct store *store);
    int (*give_back)(struct store *store);
    int64_t (*size)(const struct store *store);
    void (*close)(struct store *store);
};

struct statement {
    const struct db_engine *engine;
    struct db_prepared *prepared;
};

/* The beginning of each engine's own. */
struct store {
    const struct db_engine *engine;
    struct statement statements[ALL_STATEMENT_COUNT];
    int64_t node; /* of this handle; 0: the store cannot be shared */
    bool in_transaction;
    bool is_lost; /* see store_is_lost() */
    uint64_t writes;
    struct profile_change *changes;
    size_t change_count, change_capacity;
    int has_dependencies;    /* in this transaction; -1: unknown */
    int64_t next_id;         /* of the next task in this transaction; 0: unknown */
    struct db_claims claims; /* of the profile with most of them, in the last one that had any */
    int failure;             /* errno of the verb that failed in this transaction, or 0 */
    char error[256];
    char damage[96]; /* the last damaged row found, and its id: */
    int64_t damaged_id;
};

static inline void db_bind_number(struct statement *stmt, int index, int64_t number)
{
    stmt->engine->bind_number(stmt->prepared, index, number);
}

static inline void db_bind_double(struct statement *stmt, int index, double number)
{
    stmt->engine->bind_double(stmt->prepared, index, number);
}

/** NULL is NULL. */
static inline void db_bind_text(struct statement *stmt, int index, const char *text)
{
    if (text)
        stmt->engine->bind_text(stmt->prepared, index, text);
}

static inline void db_reset(struct statement *stmt)
{
    stmt->engine->reset(stmt->prepared);
}

static inline struct db_value db_value(struct statement *stmt, int column)
{
    return stmt->engine->value(stmt->prepared, column);
}

static inline int64_t db_number(struct statement *stmt, int column)
{
    return db_value(stmt, column).number;
}

/** The statement, reset and without parameters. */
struct statement *db_use(struct store *store, enum statement_name name);
/** Opens the transaction if none is open. Later reads stay valid until the commit. */
int db_begin(struct store *store);
/** The same for a statement that writes. */
int db_use_writing(struct store *store, enum statement_name name, struct statement **ret_stmt);
/** 1: a row; 0: done; negative: failed, and the failure is recorded. Resets the statement unless
 *  it returns a row. */
int db_step(struct store *store, struct statement *stmt);
/** Records a failure, which ends the transaction if one is open, and returns it. */
int db_fail(struct store *store, int r, const char *message);
/** Records that the row of a task is damaged and returns -EBADMSG. The transaction stays usable. */
int db_fail_damaged(struct store *store, int64_t task_id);
/** Steps a statement that returns no rows. */
int db_run(struct store *store, struct statement *stmt);
/** The same where nothing waits for the outcome; see struct db_engine. */
int db_run_later(struct store *store, struct statement *stmt);
/** Runs a writing statement whose only parameter is an id. */
int db_run_for_id(struct store *store, enum statement_name name, int64_t id);
/** Runs a writing statement whose parameters are two ids, later. */
int db_run_for_pair(struct store *store, enum statement_name name, int64_t first, int64_t second);
/** The number that a statement returns. 1: found. */
int db_take_number(struct store *store, struct statement *stmt, int64_t *ret_number);
/** Rows that the last statement has changed. */
int64_t db_changes(struct store *store);

/** Takes ownership of the task. */
void db_push_task(struct task_list *tasks, struct task *task);
/** Reads the current row of a statement over TASK_COLUMNS. -EBADMSG: it does not match its
 *  checksum. */
int db_read_task(struct store *store, struct statement *stmt, struct task *ret_task);
/** The same with its lease; its token is NULL if it has none. */
int db_read_leased(struct store *store, struct statement *stmt, struct task *ret_task,
                   struct store_lease *ret_lease);
void db_lease_deinit(struct store_lease *lease);
/** Reads the row of a statement that returns at most one. 1: found. */
int db_take_task(struct store *store, struct statement *stmt, struct task *ret_task);
/** Binds ?1 to ?34, TASK_COLUMNS, and sets the task's checksum. `lease` NULL: none. */
void db_bind_task(struct statement *stmt, struct task *task, const struct store_lease *lease);

/** The pending changes of a profile in this transaction; valid until the next call. */
struct profile_change *db_change_of(struct store *store, int64_t profile_id);
/** NULL: there are none. */
struct profile_change *db_find_change(const struct store *store, int64_t profile_id);
/** Their counters. */
struct task_counts *db_counts(struct store *store, int64_t profile_id);
/** Takes the first queued task of a profile that this node may run; the caller has to claim it.
 *  `limit`: how many it may claim in a row. 1: there is one; -EBADMSG: its row is damaged. */
int db_head_take(struct store *store, int64_t profile_id, size_t limit, struct task *ret_task);
/** This transaction has claimed a task. */
void db_head_note_claim(struct store *store, const struct task *task);
/** This transaction has queued a task. */
void db_head_note_queued(struct store *store, const struct task *task);
/** This transaction has changed the queue in another way. */
void db_head_forget(struct store *store, int64_t profile_id);
/** Writes the pending changes of all profiles. */
int db_flush_profiles(struct store *store);
/** Forgets them. */
void db_drop_changes(struct store *store);
void db_free_changes(struct store *store);
int db_add_attempt(struct store *store, const struct store_attempt *attempt);

/** A copy of the column's text, or NULL; the caller frees it. */
char *db_copy_text(struct statement *stmt, int column);
