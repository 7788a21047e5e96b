/* SPDX-License-Identifier: MIT */
#include "stock.h"

#include <malloc.h>
#include <string.h>

#include "clients.h"
#include "common/alloc.h"
#include "daemon.h"
#include "disk.h"
#include "model.h"
#include "process.h"
#include "setting.h"
#include "trail.h"
#include "watch.h"
#include "world.h"

#define PASSES_MAX  20000
#define DRAIN_MAX   3000 /* turns: many days, since the clock may be set back by days */
#define QUIET_TRIES 100
#define REST_MAX    60 /* turns of 10 s */
#define FILL_MAX    8
#define STOP_MAX    30 /* s: until an agent that is asked to stop is made to */
#define SOON_MS     (INT64_C(10) * 86400000) /* what is due then is waited for */
#define FORGET_MS   (INT64_C(100) * 86400000)
#define MEMORY_MAX  ((size_t)4 << 20) /* in use while nobody is connected */

/* --- taking stock -------------------------------------------------------------------------------
 */

/* All that was asked is answered, and nobody is connected. */
static void stock_settle(void)
{
    disk_set(DISK_GOOD);
    clients_settle();
    watch_settle();
    for (int pass = 0; daemon_pass() || daemon_connections(); pass++)
        EXPECT(pass < PASSES_MAX, "%zu connections are left", daemon_connections());
    model_settle();
}

static struct json_object *stock_list_tasks(struct peer *peer)
{
    struct json_object *all = json_object_new_array();
    int64_t before = INT64_MAX;

    while (before) {
        char params[64] = "{\"limit\":100}";
        struct json_object *page, *tasks;

        if (before < INT64_MAX)
            snprintf(params, sizeof(params), "{\"limit\":100,\"before\":%lld}", (long long)before);
        page = peer_call(peer, "list_tasks", params);
        tasks = json_get(page, "tasks");
        before = 0;
        for (size_t i = 0; i < json_object_array_length(tasks); i++) {
            struct json_object *task = json_object_array_get_idx(tasks, i);

            before = json_object_get_int64(json_get(task, "id"));
            json_object_array_add(all, json_object_get(task));
        }
        json_object_put(page);
    }
    return all;
}

static struct json_object *stock_list_queue(struct peer *peer, const char *profile)
{
    CLEANUP(freep)
    char *params = xasprintf("{\"name\":\"%s\",\"limit\":%d}", profile, MODEL_QUEUE_MAX);
    struct json_object *reply = peer_ask(peer, "get_profile_task_queue", params),
                       *queue = json_object_get(json_get(reply, "result"));

    json_object_put(reply);
    return queue; /* NULL: there is no such profile */
}

static int64_t stock_last_event(void)
{
    for (int i = 0; i < 3; i++) {
        daemon_pass();
        watch_follow();
    }
    return watch_last();
}

/* Everything that acpd tells, at one moment: false if something happened meanwhile. */
static bool stock_look(struct peer *peer)
{
    struct json_object *tasks, *states, *history, *queues[SETTING_PROFILES];
    int64_t last;
    bool is_quiet;

    last = stock_last_event();
    tasks = stock_list_tasks(peer);
    states = peer_call(peer, "get_profile_states", "{}");
    history = peer_call(peer, "get_metrics_history", "{\"range\":\"7d\"}");
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        queues[i] = stock_list_queue(peer, setting_profiles[i].name);
    is_quiet = last == stock_last_event();
    if (is_quiet)
        model_audit(tasks, states, history, queues);
    json_object_put(tasks);
    json_object_put(states);
    json_object_put(history);
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        json_object_put(queues[i]);
    return is_quiet;
}

/* A profile with its configuration and state, or NULL. */
static struct json_object *stock_find_profile(struct peer *peer, const char *profile)
{
    CLEANUP(json_putp)
    struct json_object *list = peer_call(peer, "get_profiles_with_states", "{}");

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *found = json_object_array_get_idx(list, i);

        if (strcmp(json_get_string(json_get(found, "profile"), "name"), profile) == 0)
            return json_object_get(found);
    }
    return NULL;
}

static int64_t stock_queue_size(struct peer *peer, const char *profile)
{
    CLEANUP(json_putp) struct json_object *found = stock_find_profile(peer, profile);

    return json_object_get_int64(json_get(json_get(found, "state"), "queueSize"));
}

/* A queue takes another task if, and only if, it has room, while nothing else happens. */
static void stock_try_queue(struct peer *peer, size_t profile)
{
    const struct setting_values *values = setting_newest(profile);
    int64_t id = clients_next_id();
    struct request request = {
        .method = METHOD_ASSIGN,
        .id = id,
        .key = id,
        .profile = profile,
        .sent_at = world_mono_ms(),
    };
    int64_t last = stock_last_event(),
            size = stock_queue_size(peer, setting_profiles[profile].name);
    uint64_t acknowledged = model_acknowledged();

    peer_add(peer, &request, 1, false);
    clients_hear(peer);
    acknowledged = model_acknowledged() - acknowledged;
    if (stock_last_event() == last + (int64_t)acknowledged && values->is_there && values->rejects)
        EXPECT(acknowledged == (size < values->queue_limit), "%lld of %d tasks wait, %s",
               (long long)size, values->queue_limit, acknowledged ? "another is taken" : "no more");
}

static void stock_fill_queue(struct peer *peer)
{
    size_t profile = world_below(SETTING_PROFILES), count = world_below(FILL_MAX);

    json_object_put(peer_call(peer, "reload_config", "{}")); /* one may have failed */
    for (size_t i = 0; i < count; i++)
        stock_try_queue(peer, profile);
}

/* An agent may say goodbye to a task that was cancelled, but not go on. */
static void stock_expect_stopped(void)
{
    for (int turn = 0; model_count_surplus(); turn++) {
        EXPECT(turn < STOP_MAX, "an agent goes on, though its task has finished");
        daemon_pass();
        world_wait(1000);
    }
}

void stock_take(void)
{
    struct peer auditor;

    stock_settle();
    peer_connect(&auditor);
    for (int i = 0; !stock_look(&auditor); i++) {
        EXPECT(i < QUIET_TRIES, "something always happens");
        world_wait(1);
    }
    stock_expect_stopped();
    stock_fill_queue(&auditor);
    peer_drop(&auditor);
    /* Of the C library; AddressSanitizer's has 0. */
    EXPECT(process_is_endless() || mallinfo2().uordblks < MEMORY_MAX + disk_memory(),
           "%zu bytes are in use", mallinfo2().uordblks);
}

/* On a full disk; a status that is so already writes nothing but its line. */
void stock_check_health(void)
{
    struct request request = {
        .method = METHOD_STATUS,
        .id = clients_next_id(),
        .profile = setting_find("a"),
        .is_active = true,
        .sent_at = world_mono_ms(),
    };
    CLEANUP(json_putp) struct json_object *reply = NULL;
    struct peer peer;
    bool is_behind;

    disk_set(DISK_FULL);
    peer_connect(&peer);
    peer_add(&peer, &request, 1, false);
    clients_hear(&peer);
    is_behind = trail_is_behind(); /* and so it stays */
    reply = peer_ask(&peer, "get_health", "{}");
    EXPECT(!is_behind || json_get(reply, "error") ||
               strstr(json_compact(reply), "the audit log cannot be written"),
           "%s", json_compact(reply));
    peer_drop(&peer);
}

/* --- a damaged row ------------------------------------------------------------------------------
 */

/* Whether a worker who asks for a task of this profile, right after a start, must get one or an
 * error. */
static bool stock_may_claim(struct peer *peer, const char *profile)
{
    CLEANUP(json_putp) struct json_object *found = stock_find_profile(peer, profile);
    struct json_object *state = json_get(found, "state");

    return json_object_get_boolean(json_get(state, "isActive")) &&
           json_object_get_int64(json_get(state, "currentTasks")) <
               json_object_get_int64(json_get(json_get(found, "profile"), "slots"));
}

/* A claim that the model knows of; returns its reply. */
static struct json_object *stock_claim(struct peer *peer, size_t profile)
{
    CLEANUP(freep)
    char *params =
        xasprintf("{\"profiles\":[\"%s\"],\"worker\":\"x\"}", setting_profiles[profile].name);
    struct request request = {.method = METHOD_CLAIM,
                              .id = clients_next_id(),
                              .profiles = 1u << profile,
                              .sent_at = world_mono_ms()};
    struct json_object *reply;

    model_sent(&request);
    model_note_trouble();
    reply = peer_ask(peer, "claim_task", params);
    model_take(&request, reply);
    return reply;
}

void stock_check_damage(size_t profile, int64_t task)
{
    struct peer peer;
    CLEANUP(freep) char *params = xasprintf("{\"id\":%lld}", (long long)task);
    struct json_object *claim, *health, *read;
    bool may_claim;

    peer_connect(&peer);
    may_claim = stock_may_claim(&peer, setting_profiles[profile].name);
    claim = stock_claim(&peer, profile);
    read = peer_ask(&peer, "get_task", params);
    health = peer_call(&peer, "get_health", "{}");
    EXPECT(!may_claim || json_get(claim, "error") || json_get(json_get(claim, "result"), "task"),
           "the queue is not empty: %s", json_compact(claim));
    EXPECT(json_get(read, "error"), "it is damaged: %s", json_compact(read));
    EXPECT(strstr(json_compact(health), "damaged"), "%s", json_compact(health));
    json_object_put(claim);
    json_object_put(read);
    json_object_put(health);
    peer_drop(&peer);
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void stock_count_open(struct peer *peer, int64_t *ret_waiting, int64_t *ret_running)
{
    CLEANUP(json_putp) struct json_object *states = peer_call(peer, "get_profile_states", "{}");

    *ret_waiting = *ret_running = 0;
    for (size_t i = 0; i < json_object_array_length(states); i++) {
        struct json_object *state = json_object_array_get_idx(states, i);

        *ret_waiting += json_object_get_int64(json_get(state, "queueSize"));
        *ret_running += json_object_get_int64(json_get(state, "currentTasks"));
    }
}

static void stock_calm_down(struct peer *peer)
{
    CLEANUP(freep) char *config = setting_make(true);

    process_calm();
    model_note_resumes();
    daemon_configure(config);
    model_note_setting();
    json_object_put(peer_call(peer, "reload_config", "{}"));
    for (size_t i = 0; i < SETTING_PROFILES; i++) {
        CLEANUP(freep)
        char *params = xasprintf("{\"name\":\"%s\",\"isActive\":true}", setting_profiles[i].name);

        json_object_put(peer_call(peer, "update_profile_status", params));
    }
}

/* What is to start in another age starts now. */
static void stock_bring_forward(struct peer *peer)
{
    CLEANUP(json_putp) struct json_object *tasks = stock_list_tasks(peer);

    for (size_t i = 0; i < json_object_array_length(tasks); i++) {
        struct json_object *task = json_object_array_get_idx(tasks, i);
        struct request request = {
            .method = METHOD_UPDATE,
            .id = clients_next_id(),
            .task_id = json_object_get_int64(json_get(task, "id")),
            .changes = {[CHANGE_RUN_AT] = true},
            .sent_at = world_mono_ms(),
        };

        if (!json_get(task, "pending") ||
            model_read(task, CHANGE_RUN_AT) < world_wall_ms() + SOON_MS)
            continue;
        peer_add(peer, &request, 1, false);
        clients_hear(peer);
    }
}

/* Short of time, it may fail. */
static void stock_complete(struct peer *peer, struct json_object *task, const char *lease)
{
    const char *id = json_get_string(task, "id");
    CLEANUP(freep)
    char *params = xasprintf("{\"id\":%s,\"lease\":\"%s\",\"result\":%s}", id, lease, id);
    CLEANUP(json_putp) struct json_object *reply = NULL;

    model_note_work(json_object_get_int64(json_get(task, "id")));
    reply = peer_ask(peer, "complete_task", params);
    EXPECT(json_get(reply, "result") ||
               (json_get(task, "timeout") && json_object_get_double(json_get(task, "timeout")) < 1),
           "%s", json_compact(reply));
}

/* A diligent worker takes the first task of the queue, if there is one, and completes it. */
static bool stock_work(struct peer *peer, const char *profile)
{
    CLEANUP(freep)
    char *params = xasprintf("{\"profiles\":[\"%s\"],\"worker\":\"last\"}", profile);
    CLEANUP(json_putp) struct json_object *queue = stock_list_queue(peer, profile);
    CLEANUP(json_putp) struct json_object *claim = peer_call(peer, "claim_task", params);
    struct json_object *task = json_get(claim, "task");

    if (!task)
        return false;
    model_audit_claim(task, queue);
    stock_complete(peer, task, json_get_string(claim, "lease"));
    return true;
}

/* Every task comes to its end. */
static void stock_drain(struct peer *peer)
{
    for (int turn = 0;; turn++) {
        int64_t waiting, running;
        bool has_worked = false;

        for (size_t i = 0; i < SETTING_PROFILES; i++)
            if (setting_profiles[i].kind == SETTING_WORKER)
                has_worked |= stock_work(peer, setting_profiles[i].name);
        if (has_worked)
            continue;
        stock_count_open(peer, &waiting, &running);
        if (!waiting && !running)
            return;
        EXPECT(turn < DRAIN_MAX, "a task does not come to its end");
        world_wait(turn < 100 || process_is_working() ? 1000
                   : running && turn < 300            ? 60000
                                                      : 3600000);
    }
}

/* Nobody goes on working, though no task runs any more. */
static void stock_expect_rest(void)
{
    for (int turn = 0; process_is_working(); turn++) {
        EXPECT(turn < REST_MAX, "a process works on, but no task runs");
        world_wait(10000);
        daemon_pass();
    }
}

/* In the end acpd forgets all tasks but the newest. The model would not like that. */
static void stock_expect_forgotten(struct peer *peer)
{
    size_t left = 2;

    world_wait(FORGET_MS);
    for (int pass = 0; left > 1; pass++) {
        CLEANUP(json_putp)
        struct json_object *page = peer_call(peer, "list_tasks", "{\"limit\":2}");

        EXPECT(pass < PASSES_MAX, "old tasks are kept");
        left = json_object_array_length(json_get(page, "tasks"));
        daemon_pass();
    }
}

void stock_close(void)
{
    struct peer last;

    stock_take();
    peer_connect(&last);
    stock_calm_down(&last);
    stock_bring_forward(&last);
    stock_drain(&last);
    peer_drop(&last);
    stock_expect_rest();
    stock_take();
    watch_drop();
    peer_connect(&last);
    stock_drain(&last); /* what stock-taking added */
    stock_expect_forgotten(&last);
    peer_drop(&last);
}
