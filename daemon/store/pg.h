/* SPDX-License-Identifier: MIT */
/* Shared by the files of the PostgreSQL engine. */
#pragma once

#include <libpq-fe.h>

#include "store/db.h"
#include "store/postgres.h"

#define PG_PARAMETERS_MAX 40
/* Of a statement that has it: the node, bound by the engine. */
#define PG_NODE_PARAMETER 40

/* The only node that may run a task, as TASK_ONLY_NODE has it in its body; NULL: any. */
#define PG_ONLY_NODE(body)                                                                         \
    "CASE WHEN starts_with(" body ", '\"onlyNode\":\"') THEN split_part(" body ", '\"', 4) END"

/* Object ids of types, as in PostgreSQL's pg_type.dat. */
#define TYPE_BOOL   16
#define TYPE_BYTEA  17
#define TYPE_INT8   20
#define TYPE_INT2   21
#define TYPE_INT4   23
#define TYPE_TEXT   25
#define TYPE_FLOAT8 701

/* A statement of the verbs, in PostgreSQL's words. */
struct pg_statement {
    struct pg *pg;
    char *text;
    const char *name; /* of one that is prepared; NULL: it is planned each time */
    uint64_t session; /* in which it is prepared; 0: in none */
    int parameters;
    Oid types[PG_PARAMETERS_MAX];

    const char *values[PG_PARAMETERS_MAX]; /* NULL: NULL */
    int lengths[PG_PARAMETERS_MAX], formats[PG_PARAMETERS_MAX];
    char numbers[PG_PARAMETERS_MAX][32];
    char *mended[PG_PARAMETERS_MAX]; /* texts that were not UTF-8 */

    struct pg_batch *batch; /* rows that wait to be sent together; NULL: of another kind */

    PGresult *result; /* all rows; NULL: not run */
    int row;
    unsigned char *blob; /* the last one that was read */
};

struct pg {
    struct store store;
    struct pg_statement statements[ALL_STATEMENT_COUNT];
    char *url;
    int64_t timeout_ms; /* of one answer */

    PGconn *connection; /* NULL: there is none */
    uint64_t session;   /* changes when what was prepared is gone; from 1 */
    bool is_pooled;     /* nothing may be prepared */
    bool is_connecting;
    PostgresPollingStatusType waits_for; /* while it is */
    int64_t next_try;                    /* to connect: monotonic ms, as is: */
    int64_t give_up;                     /* when an attempt has failed */
    int64_t next_wait;                   /* for one */

    /* store.node is the row of this handle, which counts its transactions: */
    int64_t pass;        /* number of those that were committed */
    int64_t validity_ms; /* how long one counts as a sign of life; 0: no limit */
    int64_t marked_at;   /* when the open one was sent, boottime ms */
    int64_t valid_until; /* of the last one that was committed */
    int64_t clock_ahead; /* of the server's clock, of the monotonic one here */
    bool is_open;        /* the server has a transaction of ours */

    size_t later_count; /* statements that were sent, whose outcome was not awaited yet */

    bool is_unknown; /* the last commit had no answer */
    int64_t changes;
    int64_t size, size_at; /* bytes, and when they were asked for */
};

/* Advisory: nodes join one at a time. */
#define PG_JOIN_LOCK "7013265"

/* The server's clock, as wall ms. */
#define PG_CLOCK "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

static inline struct pg *pg_of(const struct store *store)
{
    return CONTAINER_OF(store, struct pg, store);
}

struct store_postgres;

/** Connects, without changing anything in the database. *ret_error as for store_open_postgres(). */
int pg_open(const struct store_postgres *options, struct pg **ret_pg, char **ret_error);
/** Connects, as far as that takes no long wait. 0: the connection can be used. */
int pg_connect(struct pg *pg);
/* The same in parts. */
void pg_begin_connecting(struct pg *pg, int64_t now);
int pg_go_on_connecting(struct pg *pg, int64_t deadline);
/** Records a failure, with the first line of the message, and returns it. */
int pg_fail(struct pg *pg, int r, const char *message);
/** Records that the row of this handle is gone. */
int pg_take_leave(struct pg *pg);
/** Drops the connection and says why. Returns the negative errno of the failure. */
int pg_lose(struct pg *pg, int r, const char *message);
/** Runs statements without parameters; *ret_result is the last one's. After a negative result the
 *  connection may be gone. */
int pg_execute(struct pg *pg, const char *sql, PGresult **ret_result);
/** Awaits the outcome of those that were sent in pipeline mode and, if `ret_result` is not NULL, of
 * another one that was sent after them. */
int pg_await_later(struct pg *pg, PGresult **ret_result);
/** Ends the transaction, if there is one: after an error the server refuses everything else. */
void pg_abort(struct pg *pg);
/** The result of what was sent, which takes at most that long. */
int pg_receive(struct pg *pg, int64_t timeout_ms, PGresult **ret_result);
/** The number that a statement returns; -ENOENT: no row. */
int pg_ask_number(struct pg *pg, const char *sql, int64_t *ret_number);
/** The same with texts as parameters. */
int pg_ask_number_of(struct pg *pg, const char *sql, const char *const *texts, int count,
                     int64_t *ret_number);
/** CLEANUP(pg_clearp) */
void pg_clearp(PGresult **result);

/** Becomes a node. -EADDRINUSE: another one has its name, and may be alive. */
int pg_node_join(struct pg *pg, const struct store_postgres *options);
/** The node is no more; what it ran is nobody's. */
void pg_node_leave(struct pg *pg);

/** Makes or migrates the schema. */
int pg_schema_migrate(struct pg *pg);
/** Its version, 0 if there is none, without changing anything. */
int pg_schema_look(struct pg *pg, int64_t *ret_version);
/** The version that pg_schema_migrate() leads to. */
int64_t pg_schema_newest(void);

/** Translates the statements of the verbs. */
void pg_statement_init(struct pg *pg);
void pg_statement_deinit(struct pg *pg);
/** Sends a statement, and whatever prepares it. */
int pg_post(struct pg_statement *stmt, const char *const *values, const int *lengths,
            const int *formats);
/** Enters the pipeline, if it is not in it. */
int pg_begin_later(struct pg *pg);

/* Of statements that write a row of their own each time, several go together as one, whose
 * parameters are arrays. In their texts, parameters are those of a row, and */
#define PG_ROWS      "@rows"  /* is the table of them, */
#define PG_ROW_COUNT "@count" /* their number. */
/** Translates the text of a statement that is of this kind. */
void pg_batch_init(struct pg_statement *stmt, enum statement_name name);
void pg_batch_deinit(struct pg_statement *stmt);
/** Adds the row that is bound. */
int pg_batch_add(struct pg_statement *stmt);
/** Sends what waits; anything else has to be sent after it. */
int pg_batch_flush(struct pg *pg);

/** A text for the server, which takes UTF-8 only: messages may be cut within a character. The
 *  caller frees it. NULL: it is UTF-8. */
char *pg_statement_mend(const char *text);

/* See struct db_engine. */
int pg_begin(struct store *store);
int pg_commit(struct store *store);
int pg_resolve(struct store *store);
void pg_rollback(struct store *store);
void pg_reset(struct db_prepared *prepared);
void pg_clear(struct db_prepared *prepared);
void pg_bind_number(struct db_prepared *prepared, int index, int64_t number);
void pg_bind_double(struct db_prepared *prepared, int index, double number);
void pg_bind_text(struct db_prepared *prepared, int index, const char *text);
void pg_bind_blob(struct db_prepared *prepared, int index, const void *bytes, size_t len);
int pg_step(struct store *store, struct db_prepared *prepared);
int pg_run_later(struct store *store, struct db_prepared *prepared);
struct db_value pg_value(struct db_prepared *prepared, int column);
const void *pg_blob(struct db_prepared *prepared, int column, size_t *ret_len);
