/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <dirent.h>
#include <malloc.h>
#include <string.h>

#include "common/alloc.h"
#include "daemon.h"
#include "disk.h"
#include "model.h"
#include "peer.h"
#include "process.h"
#include "setting.h"
#include "watch.h"
#include "world.h"

#define PASSES_MAX     20000
#define CLOCK_STEP_MAX 86400000 /* ms, forwards or back */
#define DRAIN_MAX      20000    /* turns: days, since the clock may be set back by days */
#define QUIET_TRIES    100
#define FILL_MAX       8
#define MEMORY_MAX     ((size_t)4 << 20) /* in use while nobody is connected */

/* Clients of a kind; the others pipeline. */
#define SLOW   0 /* hardly reads */
#define POOLED 1 /* a connection of a gateway: one call at a time */

static struct peer peers[PLAN_PEERS];
static size_t peer_count;
static int64_t next_id;
static struct scene_sums *sums;

/* --- steps --------------------------------------------------------------------------------------
 */

static void scene_talk(void)
{
    struct peer *peer = &peers[world_below(PLAN_PEERS) % peer_count];
    size_t count = world_one_in(3) ? world_below(BATCH_MAX) + 1 : 1;
    bool is_batch;
    struct request made[BATCH_MAX];

    if (peer->fd < 0)
        peer_connect(peer);
    if (peer->is_leaving || (peer == &peers[POOLED] && peer->line_count))
        return;
    if (peer == &peers[POOLED])
        count = 1;
    is_batch = count > 1 && world_one_in(3);
    for (size_t i = 0; i < count; i++)
        request_make(&made[i], ++next_id, is_batch);
    sums->calls += count;
    peer_add(peer, made, count, is_batch);
    peer_send(peer, world_one_in(4) ? world_below(200) : SIZE_MAX);
}

static void scene_pass(void)
{
    daemon_pass();
    for (size_t i = 0; i < peer_count; i++) {
        if (peers[i].is_leaving)
            peer_send(&peers[i], SIZE_MAX);
        if (peers[i].fd >= 0 && (i == SLOW ? world_one_in(30) : !world_one_in(4)))
            peer_read(&peers[i]);
    }
    if (world_one_in(3))
        watch_read();
}

static void scene_hang_up(void)
{
    struct peer *peer = &peers[world_below(PLAN_PEERS) % peer_count];

    if (world_one_in(5))
        watch_drop();
    else if (world_one_in(3))
        peer_leave(peer);
    else
        peer_drop(peer);
}

static void scene_wait(void)
{
    static const uint64_t spans[] = {2000, 2000, 20000, 20000, 40000, 3600000};

    world_wait((int64_t)world_below(spans[world_below(ARRAY_SIZE(spans))]));
}

static void scene_set_clock(void)
{
    model_note_clock();
    world_set_clock((int64_t)world_below(2 * CLOCK_STEP_MAX) - CLOCK_STEP_MAX);
}

static void scene_break_disk(void)
{
    static const enum disk_state states[] = {DISK_FULL, DISK_FAILING, DISK_FAILING,
                                             DISK_NOT_SYNCING, DISK_SLOW};

    disk_set(states[world_below(ARRAY_SIZE(states))]);
}

static void scene_hang_up_all(void)
{
    for (size_t i = 0; i < peer_count; i++)
        peer_drop(&peers[i]);
    watch_drop();
}

static void scene_start(void)
{
    watch_note_restart();
    model_note_life();
    while (!daemon_start())
        disk_set(DISK_GOOD);
}

static void scene_kill(void)
{
    bool cuts_power = world_one_in(2);

    scene_hang_up_all();
    if (cuts_power && disk_owes_sync())
        model_forgive_refused();
    daemon_kill();
    if (cuts_power)
        disk_cut_power();
    sums->kills++;
    sums->cuts += cuts_power;
    world_wait((int64_t)world_below(10000));
    scene_start();
}

/* Some passes fail, and nothing comes after them that could mend what they left. */
static void scene_kill_while_failing(void)
{
    disk_set(world_one_in(2) ? DISK_FAILING : DISK_NOT_SYNCING);
    for (uint64_t passes = world_below(4); passes; passes--)
        scene_pass();
    scene_kill();
}

static void scene_stop(void)
{
    daemon_stop();
    for (int pass = 0; !daemon_has_stopped(); pass++) {
        EXPECT(pass < PASSES_MAX, "acpd does not stop");
        daemon_pass();
        world_wait((int64_t)world_below(100));
        for (size_t i = 0; i < peer_count; i++)
            if (peers[i].fd >= 0 && world_one_in(4))
                peer_read(&peers[i]);
    }
    scene_hang_up_all();
    daemon_leave();
    sums->stops++;
    scene_start();
}

static void scene_configure(bool is_calm)
{
    CLEANUP(freep) char *config = setting_make(is_calm);

    daemon_configure(config);
    model_note_setting();
}

static void scene_reload(void)
{
    scene_configure(false);
    daemon_reload();
}

static void scene_back_up(void)
{
    struct json_object *tasks = daemon_back_up();

    if (tasks)
        model_audit_backup(tasks);
    json_object_put(tasks);
}

/* --- taking stock -------------------------------------------------------------------------------
 */

/* All that it asked is answered. */
static void scene_hear(struct peer *peer)
{
    for (int pass = 0; peer->fd >= 0 && (peer->line_count || peer->out.len); pass++) {
        EXPECT(pass < PASSES_MAX, "a call is not answered");
        peer_send(peer, SIZE_MAX);
        daemon_pass();
        world_wait(10);
        peer_read(peer);
    }
}

/* All that was asked is answered, and nobody is connected. */
static void scene_settle(void)
{
    disk_set(DISK_GOOD);
    for (size_t i = 0; i < peer_count; i++) {
        scene_hear(&peers[i]);
        peer_drop(&peers[i]);
    }
    watch_drop();
    for (int pass = 0; daemon_pass() || daemon_connections(); pass++)
        EXPECT(pass < PASSES_MAX, "%zu connections are left", daemon_connections());
    model_settle();
}

static struct json_object *scene_list_tasks(struct peer *peer)
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

static struct json_object *scene_list_queue(struct peer *peer, const char *profile)
{
    CLEANUP(freep) char *params = xasprintf("{\"name\":\"%s\",\"limit\":100}", profile);
    struct json_object *reply = peer_ask(peer, "get_profile_task_queue", params),
                       *queue = json_object_get(json_get(reply, "result"));

    json_object_put(reply);
    return queue; /* NULL: there is no such profile */
}

static int64_t scene_last_event(void)
{
    for (int i = 0; i < 3; i++) {
        daemon_pass();
        watch_read();
    }
    return watch_last();
}

/* Everything that acpd tells, at one moment: false if something happened meanwhile. */
static bool scene_look(struct peer *peer)
{
    struct json_object *tasks, *states, *queues[SETTING_PROFILES];
    int64_t last;
    bool is_quiet;

    last = scene_last_event();
    tasks = scene_list_tasks(peer);
    states = peer_call(peer, "get_profile_states", "{}");
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        queues[i] = scene_list_queue(peer, setting_profiles[i].name);
    is_quiet = last == scene_last_event();
    if (is_quiet)
        model_audit(tasks, states, queues);
    json_object_put(tasks);
    json_object_put(states);
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        json_object_put(queues[i]);
    return is_quiet;
}

static int64_t scene_queue_size(struct peer *peer, const char *profile)
{
    CLEANUP(json_putp) struct json_object *states = peer_call(peer, "get_profile_states", "{}");

    for (size_t i = 0; i < json_object_array_length(states); i++) {
        struct json_object *state = json_object_array_get_idx(states, i);

        if (strcmp(json_get_string(state, "name"), profile) == 0)
            return json_object_get_int64(json_get(state, "queueSize"));
    }
    return -1;
}

/* A queue takes another task if, and only if, it has room, while nothing else happens. */
static void scene_try_queue(struct peer *peer, size_t profile)
{
    const struct setting_values *values = setting_newest(profile);
    int64_t id = ++next_id;
    struct request request = {
        .method = METHOD_ASSIGN,
        .id = id,
        .key = id,
        .profile = profile,
        .priority = -1,
        .sent_at = world_mono_ms(),
    };
    int64_t last = scene_last_event(),
            size = scene_queue_size(peer, setting_profiles[profile].name);
    uint64_t acknowledged = model_acknowledged();

    sums->calls++;
    peer_add(peer, &request, 1, false);
    scene_hear(peer);
    acknowledged = model_acknowledged() - acknowledged;
    if (scene_last_event() == last + (int64_t)acknowledged && values->is_there && values->rejects)
        EXPECT(acknowledged == (size < values->queue_limit), "%lld of %d tasks wait, %s",
               (long long)size, values->queue_limit, acknowledged ? "another is taken" : "no more");
}

static void scene_fill_queue(struct peer *peer)
{
    size_t profile = world_below(SETTING_PROFILES), count = world_below(FILL_MAX);

    json_object_put(peer_call(peer, "reload_config", "{}")); /* one may have failed */
    for (size_t i = 0; i < count; i++)
        scene_try_queue(peer, profile);
}

static void scene_take_stock(void)
{
    struct peer auditor;

    scene_settle();
    peer_connect(&auditor);
    for (int i = 0; !scene_look(&auditor); i++) {
        EXPECT(i < QUIET_TRIES, "something always happens");
        world_wait(1);
    }
    scene_fill_queue(&auditor);
    peer_drop(&auditor);
    /* Of the C library; AddressSanitizer's has 0. */
    EXPECT(mallinfo2().uordblks < MEMORY_MAX, "%zu bytes are in use", mallinfo2().uordblks);
}

/* What failed passes left behind shows soon after them, before more happens. */
static void scene_mend_disk(void)
{
    disk_set(DISK_GOOD);
    if (world_one_in(4))
        scene_take_stock();
}

/* --- the end ------------------------------------------------------------------------------------
 */

/* Tasks that wait or run. */
static int64_t scene_count_open(struct peer *peer)
{
    struct json_object *states = peer_call(peer, "get_profile_states", "{}");
    int64_t open = 0;

    for (size_t i = 0; i < json_object_array_length(states); i++) {
        struct json_object *state = json_object_array_get_idx(states, i);

        open += json_object_get_int64(json_get(state, "queueSize")) +
                json_object_get_int64(json_get(state, "currentTasks"));
    }
    json_object_put(states);
    return open;
}

static void scene_calm_down(struct peer *peer)
{
    process_calm();
    model_note_resumes();
    scene_configure(true);
    json_object_put(peer_call(peer, "reload_config", "{}"));
    for (size_t i = 0; i < SETTING_PROFILES; i++) {
        CLEANUP(freep)
        char *params = xasprintf("{\"name\":\"%s\",\"isActive\":true}", setting_profiles[i].name);

        json_object_put(peer_call(peer, "update_profile_status", params));
    }
}

/* A diligent worker takes the first task of the queue, if there is one, and completes it. */
static bool scene_work(struct peer *peer, const char *profile)
{
    CLEANUP(freep)
    char *params = xasprintf("{\"profiles\":[\"%s\"],\"worker\":\"last\"}", profile);
    CLEANUP(json_putp) struct json_object *queue = scene_list_queue(peer, profile);
    CLEANUP(json_putp) struct json_object *claim = peer_call(peer, "claim_task", params);
    struct json_object *task = json_get(claim, "task");

    if (!task)
        return false;
    model_audit_claim(task, queue);
    free(params);
    params = xasprintf("{\"id\":%s,\"lease\":\"%s\",\"result\":%s}", json_get_string(task, "id"),
                       json_get_string(claim, "lease"), json_get_string(task, "id"));
    json_object_put(peer_call(peer, "complete_task", params));
    return true;
}

/* Every task comes to its end. */
static void scene_drain(struct peer *peer)
{
    for (int turn = 0;; turn++) {
        bool has_worked = false;

        for (size_t i = 0; i < SETTING_PROFILES; i++)
            if (setting_profiles[i].kind == SETTING_WORKER)
                has_worked |= scene_work(peer, setting_profiles[i].name);
        if (has_worked)
            continue;
        if (scene_count_open(peer) == 0)
            return;
        EXPECT(turn < DRAIN_MAX, "a task does not come to its end");
        world_wait(turn < 100 ? 1000 : 60000);
    }
}

static size_t scene_count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    EXPECT(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* --- the world ----------------------------------------------------------------------------------
 */

/* What happens, and how often. */
static const struct {
    struct world_row row;
    void (*act)(void);
} actions[] = {
    {{"talk", 400}, scene_talk},
    {{"pass", 400}, scene_pass},
    {{"wait", 32}, scene_wait},
    {{"hang up", 16}, scene_hang_up},
    {{"set clock", 4}, scene_set_clock},
    {{"break disk", 20}, scene_break_disk},
    {{"mend disk", 16}, scene_mend_disk},
    {{"kill", 10}, scene_kill},
    {{"kill while failing", 4}, scene_kill_while_failing},
    {{"stop", 2}, scene_stop},
    {{"reload", 16}, scene_reload},
    {{"kill supervisor", 4}, process_kill_supervisor},
    {{"back up", 2}, scene_back_up},
    {{"take stock", 3}, scene_take_stock},
};

static void scene_act(size_t step)
{
    struct world_row rows[ARRAY_SIZE(actions)];
    char text[64];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(actions); i++)
        rows[i] = actions[i].row;
    i = world_draw(rows, ARRAY_SIZE(actions));
    snprintf(text, sizeof(text), "%zu %s", step, rows[i].name);
    world_note("step:", text, strlen(text));
    actions[i].act();
}

static void scene_on_bad_end(const char *place)
{
    snprintf(sums->place, sizeof(sums->place), "%s", place);
}

static void scene_open(const struct plan *plan)
{
    world_begin(plan->seed, scene_on_bad_end);
    model_begin();
    watch_begin();
    peer_count = plan->peers;
    for (size_t i = 0; i < peer_count; i++)
        peers[i] = (struct peer){.fd = -1};
    setting_begin();
    scene_configure(false);
    scene_start();
}

static void scene_close(void)
{
    struct peer last;

    scene_take_stock();
    peer_connect(&last);
    scene_calm_down(&last);
    scene_drain(&last);
    peer_drop(&last);
    scene_take_stock();
    watch_drop();
    daemon_kill();
    sums->acknowledged += model_acknowledged();
    sums->attempts += model_attempts();
    sums->events += watch_count();
    sums->failed_commits += daemon_failed_commits();
    sums->failures += disk_failures();
    sums->trace = sums->trace * 31 + world_trace();
    sums->worlds++;
    model_end();
}

void scene_play(const struct plan *plan, struct scene_sums *sums_of_all)
{
    size_t descriptors = scene_count_descriptors();

    sums = sums_of_all;
    scene_open(plan);
    for (size_t i = 0; i < PLAN_STEPS; i++) {
        world_step(i + 1);
        sums->step = i;
        if (plan->has_step[i])
            scene_act(i);
    }
    world_step(PLAN_STEPS + 1);
    scene_close();
    EXPECT(scene_count_descriptors() == descriptors, "a descriptor is left open");
}
