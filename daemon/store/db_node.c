/* SPDX-License-Identifier: MIT */
/* Nodes that share the store. An engine that cannot be shared has no statements for them. */
#include <string.h>

#include "common/alloc.h"
#include "common/crc32c.h"
#include "common/strv.h"
#include "store/db_metrics.h"

#define NEWS_PER_STEP 256 /* rows */

int store_beat(struct store *store)
{
    return store->node ? db_begin(store) : 0;
}

void store_node_deinit(struct store_node *node)
{
    free(node->name);
    free(node->url);
    free(node->version);
    *node = (struct store_node){0};
}

void store_nodes_deinit(struct store_nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++)
        store_node_deinit(&nodes->nodes[i]);
    free(nodes->nodes);
    *nodes = (struct store_nodes){0};
}

int store_list_nodes(struct store *store, struct store_nodes *ret_nodes)
{
    struct statement *stmt;
    int r;

    *ret_nodes = (struct store_nodes){0};
    if (!store->node)
        return 0;
    stmt = db_use(store, STMT_LIST_NODES);
    while ((r = db_step(store, stmt)) > 0) {
        ret_nodes->nodes =
            xrealloc(ret_nodes->nodes, (ret_nodes->count + 1) * sizeof(*ret_nodes->nodes));
        ret_nodes->nodes[ret_nodes->count++] = (struct store_node){
            .id = db_number(stmt, 0),
            .name = db_copy_text(stmt, 1),
            .url = db_copy_text(stmt, 2),
            .version = db_copy_text(stmt, 3),
            .pass = db_number(stmt, 4),
            .is_retiring = db_number(stmt, 5) != 0,
            .config_sum = db_number(stmt, 6),
            .attempts = db_number(stmt, 7),
        };
    }
    return r;
}

int store_put_config(struct store *store, const char *text)
{
    struct statement *stmt;
    int r;

    if (!store->node)
        return 0;
    r = db_use_writing(store, STMT_PUT_CONFIG, &stmt);
    if (r < 0)
        return r;
    db_bind_number(stmt, 1, store->node);
    db_bind_text(stmt, 2, text);
    db_bind_number(stmt, 3, (int64_t)crc32c(0, text, strlen(text)) + 1);
    return db_run_later(store, stmt);
}

/* The text that a statement returns; NULL: none. */
static int db_node_take_text(struct store *store, struct statement *stmt, char **ret_text)
{
    int r = db_step(store, stmt);

    *ret_text = r > 0 ? db_copy_text(stmt, 0) : NULL;
    db_reset(stmt);
    return r < 0 ? r : 0;
}

int store_get_config(struct store *store, int64_t node_id, char **ret_text)
{
    struct statement *stmt;

    *ret_text = NULL;
    if (!store->node)
        return 0;
    stmt = db_use(store, STMT_GET_CONFIG);
    db_bind_number(stmt, 1, node_id);
    return db_node_take_text(store, stmt, ret_text);
}

/* Runs a statement; the outcome is whether it changed a row. */
static int db_node_run(struct store *store, struct statement *stmt)
{
    int r = db_run(store, stmt);

    return r < 0 ? r : db_changes(store) ? STORE_DONE : STORE_STALE;
}

/* The same with numbers, as many as it has. */
static int db_node_change(struct store *store, enum statement_name name, int64_t first,
                          int64_t second)
{
    struct statement *stmt;
    int r;

    if (!store->node)
        return STORE_STALE;
    r = db_use_writing(store, name, &stmt);
    if (r < 0)
        return r;
    db_bind_number(stmt, 1, first);
    db_bind_number(stmt, 2, second);
    return db_node_run(store, stmt);
}

int store_end_node(struct store *store, int64_t id, int64_t pass)
{
    return db_node_change(store, STMT_END_NODE, id, pass);
}

int store_end_predecessors(struct store *store)
{
    return db_node_change(store, STMT_END_PREDECESSORS, store->node, 0);
}

int store_adopt(struct store *store, int64_t task_id)
{
    return db_node_change(store, STMT_ADOPT, task_id, store->node);
}

int store_let_go(struct store *store, int64_t task_id)
{
    return db_node_change(store, STMT_LET_GO, task_id, store->node);
}

int store_let_go_of_dead(struct store *store)
{
    return db_node_change(store, STMT_LET_GO_OF_DEAD, 0, 0);
}

int store_forget_questions(struct store *store)
{
    int r = db_node_change(store, STMT_FORGET_QUESTIONS, store->node, 0);

    return r < 0 ? r : 0;
}

int store_add_question(struct store *store, const char *id, const char *body)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_ADD_QUESTION, &stmt);

    if (r < 0)
        return r;
    db_bind_text(stmt, 1, id);
    db_bind_number(stmt, 2, store->node);
    db_bind_text(stmt, 3, body);
    return db_run_later(store, stmt);
}

int store_answer_question(struct store *store, const char *id, const char *answer, const char *by)
{
    struct statement *stmt;
    int r;

    if (!store->node)
        return STORE_STALE;
    r = db_use_writing(store, STMT_ANSWER_QUESTION, &stmt);
    if (r < 0)
        return r;
    db_bind_text(stmt, 1, id);
    db_bind_text(stmt, 2, answer);
    db_bind_text(stmt, 3, by);
    return db_node_run(store, stmt);
}

void store_questions_deinit(struct store_questions *questions)
{
    for (size_t i = 0; i < questions->count; i++) {
        free(questions->questions[i].id);
        free(questions->questions[i].body);
        free(questions->questions[i].answer);
        free(questions->questions[i].answered_by);
    }
    free(questions->questions);
    *questions = (struct store_questions){0};
}

static int db_node_list_questions(struct store *store, enum statement_name name, const char *after,
                                  size_t limit, struct store_questions *ret_questions)
{
    struct statement *stmt;
    int r;

    *ret_questions = (struct store_questions){0};
    if (!store->node || !limit)
        return 0;
    stmt = db_use(store, name);
    db_bind_number(stmt, 1, store->node);
    db_bind_text(stmt, 2, after);
    db_bind_number(stmt, 3, (int64_t)limit);
    ret_questions->questions = xcalloc(limit, sizeof(*ret_questions->questions));
    while ((r = db_step(store, stmt)) > 0) {
        bool is_answered = name == STMT_LIST_ANSWERS;

        ret_questions->questions[ret_questions->count++] = (struct store_question){
            .id = db_copy_text(stmt, 0),
            .body = is_answered ? NULL : db_copy_text(stmt, 1),
            .answer = is_answered ? db_copy_text(stmt, 1) : NULL,
            .answered_by = is_answered ? db_copy_text(stmt, 2) : NULL,
        };
    }
    return r;
}

int store_list_questions(struct store *store, const char *after, size_t limit,
                         struct store_questions *ret_questions)
{
    return db_node_list_questions(store, STMT_LIST_QUESTIONS, after, limit, ret_questions);
}

int store_list_answers(struct store *store, const char *after, size_t limit,
                       struct store_questions *ret_answers)
{
    return db_node_list_questions(store, STMT_LIST_ANSWERS, after, limit, ret_answers);
}

int store_get_question(struct store *store, const char *id, char **ret_body)
{
    struct statement *stmt;

    *ret_body = NULL;
    if (!store->node)
        return 0;
    stmt = db_use(store, STMT_GET_QUESTION);
    db_bind_number(stmt, 1, store->node);
    db_bind_text(stmt, 2, id);
    return db_node_take_text(store, stmt, ret_body);
}

int store_prune_news(struct store *store, int64_t before)
{
    return db_node_change(store, STMT_PRUNE_NEWS, before, 0);
}

int store_retire_node(struct store *store, const char *name)
{
    struct statement *stmt;
    int r;

    if (!store->node)
        return STORE_STALE;
    r = db_use_writing(store, STMT_RETIRE_NODE, &stmt);
    if (r < 0)
        return r;
    db_bind_text(stmt, 1, name);
    return db_node_run(store, stmt);
}

int store_take_minute(struct store *store, int64_t *ret_profile_id,
                      struct metrics_minute *ret_minute)
{
    struct statement *stmt;
    int r;

    if (!store->node)
        return STORE_STALE;
    r = db_use_writing(store, STMT_TAKE_MINUTE, &stmt);
    if (r == 0)
        r = db_step(store, stmt);
    if (r <= 0)
        return r < 0 ? r : STORE_STALE;
    *ret_profile_id = db_number(stmt, 0);
    ret_minute->at = db_number(stmt, 1);
    ret_minute->queue_max = db_number(stmt, 2);
    db_read_bucket(store, stmt, 3, *ret_profile_id, ret_minute->at, &ret_minute->sum);
    db_reset(stmt);
    return STORE_DONE;
}

int store_take_question(struct store *store, char **ret_id)
{
    struct statement *stmt;
    int r;

    if (!store->node)
        return STORE_STALE;
    r = db_use_writing(store, STMT_TAKE_QUESTION, &stmt);
    if (r == 0)
        r = db_step(store, stmt);
    if (r <= 0)
        return r < 0 ? r : STORE_STALE;
    *ret_id = db_copy_text(stmt, 0);
    db_reset(stmt);
    return STORE_DONE;
}

int store_attempt_node(struct store *store, int64_t task_id, int64_t number, char **ret_name)
{
    struct statement *stmt;

    *ret_name = NULL;
    if (!store->node)
        return 0;
    stmt = db_use(store, STMT_ATTEMPT_NODE);
    db_bind_number(stmt, 1, task_id);
    db_bind_number(stmt, 2, number);
    return db_node_take_text(store, stmt, ret_name);
}

int store_add_news(struct store *store, const char *text, int64_t now)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_ADD_NEWS, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, store->node);
    db_bind_number(stmt, 2, now);
    db_bind_text(stmt, 3, text);
    return db_run_later(store, stmt);
}

int store_last_news(struct store *store, int64_t *ret_id)
{
    int r;

    *ret_id = 0;
    if (!store->node)
        return 0;
    r = db_take_number(store, db_use(store, STMT_LAST_NEWS), ret_id);
    return r < 0 ? r : 0;
}

int store_list_news(struct store *store, int64_t *after, char ***ret_texts)
{
    struct statement *stmt;
    int rows = 0, r;

    *ret_texts = NULL;
    if (!store->node)
        return STORE_STALE;
    stmt = db_use(store, STMT_LIST_NEWS);
    db_bind_number(stmt, 1, *after);
    db_bind_number(stmt, 2, NEWS_PER_STEP);
    for (; (r = db_step(store, stmt)) > 0; rows++) {
        *after = db_number(stmt, 0);
        if (db_number(stmt, 1) != store->node)
            strv_push(ret_texts, db_copy_text(stmt, 2));
    }
    return r < 0 ? r : rows == NEWS_PER_STEP ? STORE_DONE : STORE_STALE;
}
