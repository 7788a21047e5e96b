/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <dirent.h>
#include <string.h>

#include "clients.h"
#include "common/alloc.h"
#include "cover.h"
#include "daemon.h"
#include "disk.h"
#include "model.h"
#include "process.h"
#include "setting.h"
#include "stock.h"
#include "trail.h"
#include "watch.h"
#include "world.h"

#define PASSES_MAX     20000
#define CLOCK_STEP_MAX 86400000 /* ms, forwards or back */

static struct scene_sums *sums;

/* --- steps --------------------------------------------------------------------------------------
 */

static void scene_talk(void)
{
    sums->calls += clients_talk();
}

static void scene_pass(void)
{
    daemon_pass();
    clients_read();
    watch_read();
}

static void scene_hang_up(void)
{
    if (world_one_in(5))
        watch_hang_up();
    else
        clients_hang_up();
}

static void scene_wait(void)
{
    static const uint64_t spans[] = {2000, 20000, 20000, 20000, 40000, 3600000};

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
    clients_drop();
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
    if (cuts_power) {
        disk_cut_power();
        trail_cut_power();
    }
    sums->kills++;
    sums->cuts += cuts_power;
    world_wait((int64_t)world_below(10000));
    scene_start();
}

/* acpd is killed, and runs for a while with a damaged row. */
static void scene_damage(void)
{
    size_t profile = setting_find(world_one_in(2) ? "w" : "v");
    int64_t task;

    scene_hang_up_all();
    daemon_kill();
    task = daemon_damage(setting_profiles[profile].name);
    scene_start();
    if (task) {
        stock_check_damage(profile, task);
        daemon_kill();
        daemon_repair(task);
        scene_start();
    }
    sums->kills += task ? 2 : 1;
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
        clients_read();
    }
    scene_hang_up_all();
    daemon_leave();
    sums->stops++;
    scene_start();
}

static void scene_configure(void)
{
    CLEANUP(freep) char *config = setting_make(false);

    daemon_configure(config);
    model_note_setting();
}

static void scene_reload(void)
{
    scene_configure();
    daemon_reload();
}

static void scene_back_up(void)
{
    struct json_object *tasks = daemon_back_up();

    if (tasks)
        model_audit_backup(tasks);
    json_object_put(tasks);
}

/* What failed passes left behind shows soon after them, before more happens. */
static void scene_mend_disk(void)
{
    if (world_one_in(4))
        stock_check_health();
    disk_set(DISK_GOOD);
    if (world_one_in(4))
        stock_take();
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
    {{"wait", 48}, scene_wait},
    {{"hang up", 16}, scene_hang_up},
    {{"set clock", 8}, scene_set_clock},
    {{"break disk", 20}, scene_break_disk},
    {{"mend disk", 16}, scene_mend_disk},
    {{"kill", 7}, scene_kill},
    {{"kill while failing", 4}, scene_kill_while_failing},
    {{"damage", 1}, scene_damage},
    {{"stop", 2}, scene_stop},
    {{"reload", 16}, scene_reload},
    {{"kill supervisor", 4}, process_kill_supervisor},
    {{"back up", 2}, scene_back_up},
    {{"take stock", 3}, stock_take},
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

static void scene_on_bad_end(const char *place)
{
    snprintf(sums->place, sizeof(sums->place), "%s", place);
    sums->trace = world_trace();
}

static void scene_open(const struct plan *plan)
{
    world_begin(plan->seed, scene_on_bad_end);
    model_begin();
    trail_begin();
    cover_begin(&sums->cover);
    watch_begin();
    clients_begin(plan->clients);
    setting_begin();
    scene_configure();
    scene_start();
}

static void scene_close(void)
{
    stock_close();
    daemon_kill();
    sums->acknowledged += model_acknowledged();
    sums->attempts += model_attempts();
    sums->events += watch_count();
    sums->failed_commits += daemon_failed_commits();
    sums->failures += disk_failures();
    if (!sums->worlds++)
        sums->trace = world_trace();
    model_end();
    trail_end();
    cover_end();
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
