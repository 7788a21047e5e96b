/* SPDX-License-Identifier: MIT */
/* Nodes that share a store, if it can be shared. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/strv.h"
#include "fixture.h"

static struct store *open_node(const char *name, const char *where)
{
    struct store *handle = NULL;
    CLEANUP(freep) char *error = NULL;
    int r = engine.open_node(store_place, name, where, &handle, &error);

    if (r != 0)
        ck_abort_msg("%d: %s", r, error ? error : "");
    return handle;
}

/* Two nodes: "a" is `store`, "b" is `rival`. */
static void setup_nodes(void)
{
    setup_closed();
    store = open_node("a", "there");
    rival = open_node("b", "elsewhere");
}

static void pass_on(void)
{
    MUST(store_commit(store));
    turn();
}

static struct store_node find_node(const char *name)
{
    CLEANUP(store_nodes_deinit) struct store_nodes nodes = {0};
    struct store_node found = {0};

    MUST(store_list_nodes(store, &nodes));
    for (size_t i = 0; i < nodes.count; i++)
        if (strcmp(nodes.nodes[i].name, name) == 0)
            found = nodes.nodes[i];
    found.name = found.url = found.version = NULL;
    return found;
}

static void check_node_of(int64_t id, int64_t node_id, const char *name)
{
    CLEANUP(task_deinit) struct task task = {0};

    EXPECT(store_get_task(store, id, &task), 1);
    EXPECT(task.node_id, node_id);
    ck_assert_pstr_eq(task.node, name);
}

static int end(int64_t id, enum task_status to)
{
    CLEANUP(task_deinit) struct task task = {0};
    bool has_dependants;

    EXPECT(store_get_task(store, id, &task), 1);
    return finish_task(&task, to, to == TASK_CANCELLED ? ERROR_CANCELLED : ERROR_NONE, NOW,
                       &has_dependants);
}

static int64_t add_for(const char *node, int64_t sort_key)
{
    CLEANUP(freep) char *body = xasprintf(TASK_ONLY_NODE "%s\",\"title\":\"t\"", node);
    struct task task = new_task(alpha, TASK_QUEUED, sort_key);

    task.body = body;
    MUST(add_task(&task));
    return task.id;
}

static int64_t claim_within(int64_t most)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    const struct store_claim wanted = {.profile_id = alpha, .limit = 9, .most = most, .now = NOW};

    MUST(store_claim(store, &wanted, &tasks));
    return (int64_t)tasks.count;
}

START_TEST(a_store_that_is_not_shared_has_no_nodes)
{
    CLEANUP(store_nodes_deinit) struct store_nodes nodes = {0};
    CLEANUP(freep) struct store_bucket *minutes = NULL;
    CLEANUP(freep) char *name = NULL;
    struct store_questions questions;
    struct metrics_minute minute;
    char **news;
    size_t count = 9;
    int64_t number = 9;

    if (engine.open_node)
        return;
    EXPECT(store_node(store), 0);
    EXPECT(store_valid_until(store), INT64_MAX);
    MUST(store_beat(store));
    EXPECT(store_is_writing(store), false);
    MUST(store_list_nodes(store, &nodes));
    EXPECT((int64_t)nodes.count, 0);
    MUST(store_put_config(store, "text"));
    MUST(store_get_config(store, 1, &name));
    ck_assert_ptr_null(name);
    EXPECT(store_end_node(store, 1, 0), STORE_STALE);
    EXPECT(store_end_predecessors(store), STORE_STALE);
    EXPECT(store_retire_node(store, "a"), STORE_STALE);
    EXPECT(store_adopt(store, 1), STORE_STALE);
    EXPECT(store_let_go(store, 1), STORE_STALE);
    EXPECT(store_let_go_of_dead(store), STORE_STALE);
    EXPECT(store_take_minute(store, &number, &minute), STORE_STALE);
    EXPECT(store_take_question(store, &name), STORE_STALE);
    MUST(store_list_minutes(store, alpha, &minutes, &count));
    EXPECT((int64_t)count, 0);
    MUST(store_attempt_node(store, 1, 1, &name));
    ck_assert_ptr_null(name);
    MUST(store_last_news(store, &number));
    EXPECT(number, 0);
    EXPECT(store_list_news(store, &number, &news), STORE_STALE);
    ck_assert_ptr_null(news);
    EXPECT(store_prune_news(store, NOW), STORE_STALE);
    MUST(store_list_questions(store, "", 9, &questions));
    EXPECT((int64_t)questions.count, 0);
    MUST(store_list_answers(store, "", 9, &questions));
    EXPECT((int64_t)questions.count, 0);
    MUST(store_get_question(store, "1", &name));
    ck_assert_ptr_null(name);
    MUST(store_forget_questions(store));
    EXPECT(store_answer_question(store, "1", "yes", "me"), STORE_STALE);
    EXPECT(store_is_writing(store), false);
    ck_assert_int_le(llabs(store_wall_ms(store) - clock_wall_ms()), 60000);
}
END_TEST

START_TEST(a_pass_is_a_sign_of_life)
{
    const int64_t pass = find_node("a").pass;
    int64_t until = store_valid_until(store);

    ck_assert_int_ge(until, clock_boot_ms() - 60000);
    ck_assert_int_le(llabs(store_wall_ms(store) - clock_wall_ms()), 60000);
    MUST(store_beat(store));
    EXPECT(store_is_writing(store), true);
    EXPECT(store_valid_until(store), until);
    MUST(store_commit(store));
    ck_assert_int_ge(store_valid_until(store), until);
    EXPECT(find_node("a").pass, pass + 1);
    EXPECT(find_node("a").id, store_node(store));
    EXPECT(find_node("b").id, store_node(rival));
}
END_TEST

START_TEST(a_node_without_one_is_removed_and_cannot_write)
{
    const int64_t id = store_node(rival), pass = find_node("b").pass;

    turn();
    add(alpha, TASK_QUEUED, 1);
    pass_on();
    EXPECT(store_end_node(store, id, pass), STORE_STALE);
    EXPECT(store_end_node(store, id, pass + 1), STORE_DONE);
    EXPECT(store_end_node(store, id, pass + 1), STORE_STALE);
    pass_on();
    EXPECT(store_is_lost(store), false);
    ck_assert_int_lt(store_beat(store), 0);
    EXPECT(store_is_lost(store), true);
    store_rollback(store);
}
END_TEST

START_TEST(what_a_node_runs_is_its_own_until_it_is_removed)
{
    const int64_t first = add(alpha, TASK_QUEUED, 1), second = add(alpha, TASK_QUEUED, 2);
    const int64_t a = store_node(store);

    EXPECT(claim(alpha), first);
    EXPECT(claim(alpha), second);
    check_node_of(first, a, "a");
    EXPECT(end(first, TASK_QUEUED), STORE_DONE);
    check_node_of(first, 0, "a");
    EXPECT(claim(alpha), first);
    EXPECT(end(first, TASK_CANCELLED), STORE_DONE);
    check_node_of(first, a, "a"); /* its processes may live */
    pass_on();
    EXPECT(find_node("a").attempts, 2);
    EXPECT(count_abandoned(), 0);
    EXPECT(store_let_go(store, first), STORE_STALE);
    EXPECT(store_let_go_of_dead(store), STORE_STALE);
    EXPECT(store_end_node(store, a, find_node("a").pass), STORE_DONE);
    EXPECT(count_abandoned(), 1);
    EXPECT(store_let_go_of_dead(store), STORE_DONE);
    check_node_of(first, 0, "a");
    EXPECT(store_adopt(store, first), STORE_STALE);
    EXPECT(store_adopt(store, second), STORE_DONE);
    check_node_of(second, store_node(store), "b");
    EXPECT(count_abandoned(), 0);
    MUST(store_commit(store));
}
END_TEST

START_TEST(a_cancelled_task_is_let_go_where_it_ran)
{
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(freep) char *name = NULL;

    EXPECT(claim(alpha), id);
    pass_on();
    EXPECT(end(id, TASK_CANCELLED), STORE_DONE);
    pass_on();
    check_node_of(id, store_node(store), "a");
    EXPECT(store_let_go(store, id), STORE_DONE);
    check_node_of(id, 0, "a");
    MUST(store_attempt_node(store, id, 1, &name));
    ck_assert_pstr_eq(name, "a");
    MUST(store_commit(store));
}
END_TEST

/* Processes that are being stopped count. */
START_TEST(a_limit_is_for_all_nodes_together)
{
    for (int i = 0; i < 9; i++)
        add(alpha, TASK_QUEUED, i);
    EXPECT(claim_within(3), 3);
    EXPECT(claim_within(3), 0);
    pass_on();
    EXPECT(claim_within(3), 0);
    EXPECT(claim_within(5), 2);
    EXPECT(end(1, TASK_CANCELLED), STORE_DONE);
    EXPECT(claim_within(5), 0);
    EXPECT(end(2, TASK_COMPLETED), STORE_DONE);
    EXPECT(claim_within(5), 1);
    MUST(store_update_profile(store, alpha, 0, 0));
    EXPECT(claim_within(9), 0);
    pass_on();
    EXPECT(claim_within(9), 0);
    MUST(store_commit(store));
}
END_TEST

/* Others skip it, whichever way they claim. */
START_TEST(a_task_may_be_for_one_node_only)
{
    const struct store_claim all = {.profile_id = alpha, .limit = 9, .now = NOW};
    const int64_t mine = add_for("a", 1), theirs = add_for("b", 2),
                  first = add(alpha, TASK_QUEUED, 3);
    const int64_t last = add_for("b", 4);
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    CLEANUP(task_deinit) struct task task = {0};

    pass_on(); /* b's turn */
    EXPECT(store_first_queued(store, alpha, theirs, &task), 1);
    EXPECT(task.id, first);
    MUST(store_claim(store, &all, &tasks));
    EXPECT((int64_t)tasks.count, 3);
    EXPECT(tasks.tasks[0].id, theirs);
    EXPECT(tasks.tasks[1].id, first);
    EXPECT(tasks.tasks[2].id, last);
    EXPECT(claim_within(0), 0);
    pass_on();
    EXPECT(claim_within(0), 1);
    check_node_of(mine, store_node(store), "a");
    MUST(store_commit(store));
}
END_TEST

START_TEST(a_predecessor_has_ended)
{
    struct store *again;

    EXPECT(store_end_predecessors(store), STORE_STALE);
    MUST(store_commit(store));
    again = open_node("a", "there");
    close_handle(&rival);
    rival = again;
    turn();
    EXPECT(store_end_predecessors(store), STORE_DONE);
    pass_on();
    ck_assert_int_lt(store_beat(store), 0);
    store_rollback(store);
}
END_TEST

START_TEST(a_name_is_one_nodes_as_long_as_it_lives)
{
    const int64_t silent = store_node(store);
    struct store *again = open_node("a", "nowhere"); /* after its lease */

    close_handle(&store);
    store = again;
    ck_assert_int_ne(store_node(store), silent);
    EXPECT(find_node("a").id, store_node(store));
}
END_TEST

START_TEST(one_is_asked_to_retire)
{
    EXPECT(store_retire_node(store, "c"), STORE_STALE);
    EXPECT(store_retire_node(store, "b"), STORE_DONE);
    MUST(store_commit(store));
    EXPECT(find_node("b").is_retiring, true);
    EXPECT(find_node("a").is_retiring, false);
}
END_TEST

START_TEST(a_node_tells_how_it_is_configured)
{
    CLEANUP(store_nodes_deinit) struct store_nodes before = {0}, after = {0};
    CLEANUP(freep) char *nothing = NULL, *text = NULL;
    const int64_t id = store_node(store);

    MUST(store_get_config(rival, id, &nothing));
    ck_assert_ptr_null(nothing);
    MUST(store_list_nodes(rival, &before));
    EXPECT(before.nodes[0].config_sum, 0);

    MUST(store_put_config(store, "one"));
    store_rollback(store);
    MUST(store_put_config(store, "a \"b\"\nc"));
    MUST(store_commit(store));
    MUST(store_get_config(rival, id, &text));
    ck_assert_str_eq(text, "a \"b\"\nc");
    MUST(store_list_nodes(rival, &after));
    ck_assert(after.nodes[0].config_sum != 0 && after.nodes[1].config_sum == 0);
    EXPECT(after.nodes[0].id, id);
}
END_TEST

START_TEST(minutes_are_summed_and_inherited)
{
    const struct metrics_minute mine = {.at = NOW - NOW % MINUTE, .queue_max = 3, .sum.arrived = 4};
    const struct metrics_minute theirs = {.at = NOW - NOW % MINUTE, .sum.arrived = 5};
    CLEANUP(freep) struct store_bucket *minutes = NULL;
    struct metrics_minute taken;
    size_t count = 0;
    int64_t id = 0;

    MUST(store_put_minute(store, alpha, &mine));
    pass_on();
    MUST(store_put_minute(store, alpha, &theirs));
    MUST(store_list_minutes(store, alpha, &minutes, &count));
    EXPECT((int64_t)count, 1);
    EXPECT(minutes[0].sum.arrived, 4);
    EXPECT(store_take_minute(store, &id, &taken), STORE_STALE);
    EXPECT(store_end_node(store, store_node(rival), find_node("a").pass), STORE_DONE);
    EXPECT(store_take_minute(store, &id, &taken), STORE_DONE);
    EXPECT(id, alpha);
    EXPECT(memcmp(&taken, &mine, sizeof(mine)), 0);
    EXPECT(store_take_minute(store, &id, &taken), STORE_STALE);
    MUST(store_commit(store));
}
END_TEST

static void check_news(int64_t *after, const char *expected)
{
    CLEANUP(buf_deinit) struct buf heard = {0};
    char **texts;

    EXPECT(store_list_news(store, after, &texts), STORE_STALE);
    for (size_t i = 0; texts && texts[i]; i++)
        buf_add_text(&heard, texts[i]);
    strv_free(texts);
    ck_assert_str_eq(buf_text(&heard), expected);
}

START_TEST(news_are_heard_once_and_in_order)
{
    int64_t before = 9, at_b = 0, at_a = 0;

    MUST(store_last_news(store, &before));
    EXPECT(before, 0);
    MUST(store_add_news(store, "1", NOW));
    MUST(store_add_news(store, "2", NOW));
    pass_on();
    check_news(&at_b, "12");
    check_news(&at_b, "");
    MUST(store_add_news(store, "3", NOW + 1));
    check_news(&at_b, "");
    store_rollback(store);
    MUST(store_add_news(store, "4", NOW + 2));
    pass_on();
    check_news(&at_a, "4");
    MUST(store_last_news(store, &before));
    EXPECT(before, at_a);
    EXPECT(store_prune_news(store, NOW + 1), STORE_DONE);
    EXPECT(store_prune_news(store, NOW + 1), STORE_STALE);
    MUST(store_commit(store));
    at_a = 0;
    check_news(&at_a, "4");
}
END_TEST

/* Read in pages of `limit`. */
static void note_questions(int (*list)(struct store *store, const char *after, size_t limit,
                                       struct store_questions *ret_questions),
                           size_t limit, struct buf *out)
{
    char after[16] = "";
    size_t count;

    do {
        CLEANUP(store_questions_deinit) struct store_questions page = {0};

        MUST(list(store, after, limit, &page));
        count = page.count;
        for (size_t i = 0; i < count; i++) {
            const struct store_question *question = &page.questions[i];

            if (question->body)
                buf_printf(out, "%s:%s ", question->id, question->body);
            else
                buf_printf(out, "%s:%s by %s ", question->id, question->answer,
                           question->answered_by);
            snprintf(after, sizeof(after), "%s", question->id);
        }
    } while (count == limit);
}

static void check_questions(const char *questions, const char *answers)
{
    for (size_t limit = 1; limit < 4; limit++) {
        CLEANUP(buf_deinit) struct buf asked = {0}, answered = {0};

        note_questions(store_list_questions, limit, &asked);
        note_questions(store_list_answers, limit, &answered);
        ck_assert_str_eq(buf_text(&asked), questions);
        ck_assert_str_eq(buf_text(&answered), answers);
    }
}

static void check_question(const char *id, const char *expected)
{
    CLEANUP(freep) char *body = NULL;

    MUST(store_get_question(store, id, &body));
    if (expected)
        ck_assert_str_eq(body, expected);
    else
        ck_assert_ptr_null(body);
}

START_TEST(questions_are_answered_by_others)
{
    CLEANUP(freep) char *id = NULL;

    MUST(store_forget_questions(store));
    MUST(store_add_question(store, "1", "one"));
    MUST(store_add_question(store, "2", "two"));
    check_questions("", "");
    pass_on();
    check_questions("1:one 2:two ", "");
    check_question("2", "two");
    check_question("3", NULL);
    EXPECT(store_answer_question(store, "3", "yes", "me"), STORE_STALE);
    EXPECT(store_answer_question(store, "2", "yes", "me"), STORE_DONE);
    EXPECT(store_answer_question(store, "2", "no", "me"), STORE_STALE);
    check_questions("1:one ", "");
    check_question("2", NULL);
    pass_on();
    check_questions("", "2:yes by me ");
    check_question("1", NULL);
    MUST(store_forget_questions(store));
    MUST(store_add_question(store, "1", "one"));
    pass_on();
    check_questions("1:one ", "");
    EXPECT(store_end_node(store, store_node(rival), find_node("a").pass), STORE_DONE);
    check_questions("", "");
    EXPECT(store_take_question(store, &id), STORE_DONE);
    ck_assert_str_eq(id, "1");
    EXPECT(store_take_question(store, &id), STORE_STALE);
    MUST(store_commit(store));
}
END_TEST

void add_node_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "no nodes", setup, teardown);

    tcase_add_test(tcase, a_store_that_is_not_shared_has_no_nodes);
    if (!engine.open_node)
        return;
    tcase = add_case(suite, "nodes", setup_nodes, teardown);
    tcase_add_test(tcase, a_pass_is_a_sign_of_life);
    tcase_add_test(tcase, a_node_without_one_is_removed_and_cannot_write);
    tcase_add_test(tcase, what_a_node_runs_is_its_own_until_it_is_removed);
    tcase_add_test(tcase, a_cancelled_task_is_let_go_where_it_ran);
    tcase_add_test(tcase, a_limit_is_for_all_nodes_together);
    tcase_add_test(tcase, a_task_may_be_for_one_node_only);
    tcase_add_test(tcase, a_predecessor_has_ended);
    tcase_add_test(tcase, a_name_is_one_nodes_as_long_as_it_lives);
    tcase_add_test(tcase, one_is_asked_to_retire);
    tcase_add_test(tcase, a_node_tells_how_it_is_configured);
    tcase_add_test(tcase, minutes_are_summed_and_inherited);
    tcase_add_test(tcase, news_are_heard_once_and_in_order);
    tcase_add_test(tcase, questions_are_answered_by_others);
}
