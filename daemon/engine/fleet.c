/* SPDX-License-Identifier: MIT */
#include "engine/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/strv.h"
#include "engine/attempt.h"
#include "engine/difference.h"
#include "engine/news.h"
#include "engine/reload.h"
#include "engine/takeover.h"
#include "run/run.h"

#define LOGGED_MAX      10   /* settings that differ */
#define LOOK_MS         200  /* between looks at the news */
#define LOOK_ALONE_MS   1000 /* without other nodes */
#define WATCH_MS        1000 /* between looks at the nodes */
#define BEATS_PER_LEASE 5
#define KEEP_NEWS_MS    (2 * 3600 * INT64_C(1000)) /* longer than any lease */
#define PRUNE_NEWS_MS   60000

static void fleet_free_nodes(struct fleet_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        store_node_deinit(&nodes[i].row);
        strv_free(nodes[i].differs);
    }
    free(nodes);
}

void fleet_deinit(struct fleet *fleet)
{
    fleet_free_nodes(fleet->nodes, fleet->count);
    free(fleet->name);
    free(fleet->config);
    free(fleet->staged.config);
}

/* --- the others ---------------------------------------------------------------------------------
 */

static struct fleet_node *fleet_find(const struct fleet *fleet, int64_t id)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->nodes[i].row.id == id)
            return &fleet->nodes[i];
    return NULL;
}

static const struct fleet_node *fleet_find_name(const struct fleet *fleet, const char *name)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (strcmp(fleet->nodes[i].row.name, name) == 0)
            return &fleet->nodes[i];
    return NULL;
}

static bool fleet_is_self(const struct engine *engine, const struct fleet_node *node)
{
    return node->row.id == store_node(engine->store);
}

static void fleet_log_difference(const struct fleet_node *node, bool did_differ)
{
    CLEANUP(buf_deinit) struct buf text = {0};

    for (size_t i = 0; i < LOGGED_MAX && node->differs && node->differs[i]; i++)
        buf_printf(&text, "%s%s", i ? ", " : "", node->differs[i]);
    if (strv_length(node->differs) > LOGGED_MAX)
        buf_add_text(&text, " and more");
    if (node->differs)
        log_warning("node \"%s\" is configured differently: %s", node->row.name, buf_text(&text));
    else if (did_differ)
        log_info("node \"%s\" is configured like this one again", node->row.name);
}

/* Compares the configurations of other nodes with this one's, where one has changed. */
static int fleet_compare(struct engine *engine)
{
    struct fleet *fleet = &engine->fleet;
    int r = 0;

    if (!fleet->config)
        return 0;
    for (size_t i = 0; i < fleet->count && r == 0; i++) {
        CLEANUP(freep) char *theirs = NULL;
        struct fleet_node *node = &fleet->nodes[i];
        bool did_differ = node->differs != NULL;

        if (node->compared == node->row.config_sum || fleet_is_self(engine, node))
            continue;
        r = store_get_config(engine->store, node->row.id, &theirs);
        if (r < 0 || !theirs)
            continue;
        strv_free(node->differs);
        node->differs = difference_list(fleet->config, theirs);
        node->compared = node->row.config_sum;
        fleet_log_difference(node, did_differ);
    }
    return r;
}

/* Updates the list of nodes and when each last committed. A node missing from the new list has left
 * or was removed. */
static int fleet_watch(struct engine *engine)
{
    CLEANUP(store_nodes_deinit) struct store_nodes rows = {0};
    struct fleet *fleet = &engine->fleet;
    const struct fleet before = *fleet;
    size_t known = 0;
    int r = store_list_nodes(engine->store, &rows);
    const int64_t read = clock_mono_ms(); /* no older than this */

    if (r < 0)
        return r;
    fleet->nodes = xcalloc(rows.count + 1, sizeof(*fleet->nodes));
    fleet->count = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        struct fleet_node *was = fleet_find(&before, rows.nodes[i].id);
        struct fleet_node *node = &fleet->nodes[i];

        node->since = was && was->row.pass == rows.nodes[i].pass ? was->since : read;
        node->compared = was ? was->compared : 0;
        node->differs = was ? STEAL(was->differs) : NULL;
        node->row = rows.nodes[i];
        rows.nodes[i] = (struct store_node){0};
        known += was != NULL;
        if (fleet_is_self(engine, node))
            fleet->is_retiring = node->row.is_retiring;
    }
    fleet->must_take_over |= known < before.count;
    fleet_free_nodes(before.nodes, before.count);
    return fleet_compare(engine);
}

/* Silence proves nothing while the store is unreachable. */
static void fleet_forgive(struct engine *engine)
{
    for (size_t i = 0; i < engine->fleet.count; i++)
        engine->fleet.nodes[i].since = engine->now.mono;
}

const char *const engine_node_states[] = {
    [NODE_RUNNING] = "running",
    [NODE_RETIRING] = "retiring",
    [NODE_SILENT] = "silent",
    NULL,
};

/* For how long it has given no sign of life, in ms. */
static int64_t fleet_silence_of(const struct engine *engine, const struct fleet_node *node)
{
    return fleet_is_self(engine, node) || node->since > engine->now.mono
               ? 0
               : engine->now.mono - node->since;
}

static enum engine_node_state fleet_state_of(const struct engine *engine,
                                             const struct fleet_node *node, int64_t silent)
{
    return silent > engine->settings.store.lease_ms / 2 ? NODE_SILENT
           : node->row.is_retiring                      ? NODE_RETIRING
                                                        : NODE_RUNNING;
}

const char *engine_node_name(const struct engine *engine)
{
    return engine->fleet.name;
}

size_t engine_list_nodes(const struct engine *engine, struct engine_node **ret_nodes)
{
    const struct fleet *fleet = &engine->fleet;
    struct engine_node *nodes = xcalloc(fleet->count + 1, sizeof(*nodes));

    *ret_nodes = nodes;
    for (size_t i = 0; i < fleet->count; i++) {
        const struct fleet_node *node = &fleet->nodes[i];
        int64_t silent = fleet_silence_of(engine, node);

        nodes[i] = (struct engine_node){
            .name = node->row.name,
            .version = node->row.version,
            .url = node->row.url,
            .state = fleet_state_of(engine, node, silent),
            .last_seen = engine->now.wall - silent,
            .attempts = node->row.attempts,
            .differs = node->differs,
        };
    }
    if (fleet->count)
        return fleet->count;
    nodes[0] = (struct engine_node){
        .name = fleet->name,
        .version = ACPD_VERSION,
        .url = engine->settings.node.url,
        .state = NODE_RUNNING,
        .last_seen = engine->now.wall,
        .attempts = (int64_t)engine->attempt_count,
    };
    return 1;
}

bool fleet_may_have(const struct engine *engine, const char *name)
{
    return store_node(engine->store) || strcmp(name, engine->fleet.name) == 0;
}

bool fleet_has(const struct engine *engine, const char *name)
{
    const struct fleet_node *node = fleet_find_name(&engine->fleet, name);

    if (!store_node(engine->store))
        return true; /* a single acpd runs everything */
    return node && fleet_state_of(engine, node, fleet_silence_of(engine, node)) == NODE_RUNNING;
}

int engine_log_elsewhere(struct engine *engine, const struct task *task, int64_t attempt,
                         char **ret_where)
{
    CLEANUP(freep) char *name = NULL;
    const struct fleet_node *node;
    int r = 0;

    *ret_where = NULL;
    if (!store_node(engine->store))
        return 0;
    if (attempt == task->attempt && task->node)
        name = xstrdup(task->node);
    else
        r = store_attempt_node(engine->store, task->id, attempt, &name);
    if (r < 0 || !name || strcmp(name, engine->fleet.name) == 0)
        return r;
    node = fleet_find_name(&engine->fleet, name);
    if (!node)
        *ret_where = xasprintf("node \"%s\", which is not running", name);
    else if (node->row.url)
        *ret_where = xasprintf("node \"%s\", which is running: %s", name, node->row.url);
    else
        *ret_where =
            xasprintf("node \"%s\", which is running; ask it there (it has no node.url)", name);
    return 0;
}

/* Whether another node takes tasks. */
static bool fleet_can_spare(const struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->fleet.count; i++) {
        const char *other = engine->fleet.nodes[i].row.name;

        if (strcmp(other, name) != 0 && fleet_has(engine, other))
            return true;
    }
    return false;
}

int engine_retire_node(struct engine *engine, const char *name)
{
    int r;

    if (!store_node(engine->store))
        return strcmp(name, engine->fleet.name) == 0 ? ENGINE_CONFLICT : ENGINE_NOT_FOUND;
    if (engine->is_stopping)
        return -ESHUTDOWN;
    if (fleet_has(engine, name) && !fleet_can_spare(engine, name))
        return ENGINE_CONFLICT;
    r = store_retire_node(engine->store, name);
    engine->fleet.next_watch = 0;
    return r < 0 ? r : r == STORE_DONE ? 0 : ENGINE_NOT_FOUND;
}

/* --- profiles -----------------------------------------------------------------------------------
 */

static int fleet_refresh_profile(struct engine *engine, struct store_profile *row)
{
    struct profile *profile = roster_find_id(&engine->roster, row->id);

    if (!profile)
        return reload_adopt(engine, row);
    roster_recount(&engine->roster, profile, &row->counts);
    if (row->last_activity > profile->last_activity)
        profile->last_activity = row->last_activity;
    if (row->is_active != profile->is_active) {
        profile->is_active = row->is_active;
        roster_heat(&engine->roster, profile);
        event_stage(
            &engine->events,
            &(struct event){.type = EVENT_PROFILE, .is_fact = true, .profile_id = profile->id});
    }
    return 0;
}

static int fleet_refresh(struct engine *engine)
{
    CLEANUP(store_profiles_deinit) struct store_profiles rows = {0};
    int r = store_list_profiles(engine->store, &rows);

    for (size_t i = 0; i < rows.count && r == 0; i++)
        r = fleet_refresh_profile(engine, &rows.profiles[i]);
    return r;
}

/* Slots used by other nodes may be free now. */
static void fleet_heat(struct engine *engine)
{
    for (size_t i = 0; i < engine->profile_count; i++)
        if (profile_may_claim(engine->profiles[i], engine->now.mono))
            roster_heat(&engine->roster, engine->profiles[i]);
}

static int fleet_look_now(struct engine *engine)
{
    struct fleet *fleet = &engine->fleet;
    bool is_watching = engine->now.mono >= fleet->next_watch;
    int64_t heard = fleet->news;
    int r = news_hear(engine);

    if (r == 0 && (is_watching || fleet->news != heard))
        r = fleet_refresh(engine);
    if (r == 0 && is_watching) {
        fleet_heat(engine);
        fleet->next_watch = engine->now.mono + WATCH_MS;
        r = fleet_watch(engine);
    }
    return r;
}

void fleet_look(struct engine *engine)
{
    struct fleet *fleet = &engine->fleet;

    if (!store_node(engine->store) || engine->now.mono < fleet->next_look || engine->is_in_doubt ||
        store_is_writing(engine->store) || !engine->profile_count)
        return;
    fleet->next_look = engine->now.mono + (fleet->count > 1 ? LOOK_MS : LOOK_ALONE_MS);
    if (fleet_look_now(engine) < 0)
        fleet_forgive(engine);
}

/* --- the pass -----------------------------------------------------------------------------------
 */

/* This acpd holds the state directory's lock, so its predecessor is dead; so are its processes once
 * the supervisor is ready. */
static int fleet_end_predecessors(struct engine *engine)
{
    int r = 0;

    if (!engine->fleet.has_no_predecessor && engine->supervisor &&
        supervisor_is_ready(engine->supervisor)) {
        r = store_end_predecessors(engine->store);
        engine->fleet.must_take_over |= r == STORE_DONE;
        engine->fleet.staged.has_no_predecessor = r >= 0;
    }
    return r < 0 ? r : 0;
}

static int fleet_end_silent(struct engine *engine)
{
    struct fleet *fleet = &engine->fleet;

    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_node *node = &fleet->nodes[i];
        int64_t silent = engine->now.mono - node->since;
        int r;

        if (fleet_is_self(engine, node) || silent < engine->settings.store.lease_ms)
            continue;
        r = store_end_node(engine->store, node->row.id, node->row.pass);
        if (r < 0)
            return r;
        if (r == STORE_STALE) { /* it lives, as the next look shows */
            node->since = engine->now.mono;
            continue;
        }
        log_warning("node \"%s\" has been silent for %.1f s; taking over what it ran",
                    node->row.name, (double)silent / 1000);
        fleet->must_take_over = true;
    }
    return 0;
}

/* Tells the others how this node is configured, once and after each reload. */
static int fleet_publish(struct engine *engine)
{
    struct fleet *fleet = &engine->fleet;

    if (fleet->config || !engine->profile_count)
        return 0;
    free(fleet->staged.config);
    fleet->staged.config = difference_describe(engine->profiles, engine->profile_count);
    return store_put_config(engine->store, fleet->staged.config);
}

static int fleet_prune_news(struct engine *engine)
{
    int r;

    if (!store_is_writing(engine->store) || engine->now.mono < engine->fleet.next_prune)
        return 0;
    engine->fleet.next_prune = engine->now.mono + PRUNE_NEWS_MS;
    r = store_prune_news(engine->store, engine->now.wall - KEEP_NEWS_MS);
    return r < 0 ? r : 0;
}

int fleet_step(struct engine *engine)
{
    struct fleet *fleet = &engine->fleet;
    int r;

    if (!store_node(engine->store))
        return 0;
    r = fleet_end_predecessors(engine);
    if (r == 0)
        r = fleet_publish(engine);
    if (r == 0)
        r = fleet_end_silent(engine);
    if (r == 0 && fleet->must_take_over) {
        r = takeover_from_dead(engine);
        fleet->staged.has_taken_over = r == 0;
    }
    if (r == 0 && engine->now.mono >= fleet->next_beat)
        r = store_beat(engine->store);
    return r < 0 ? r : fleet_prune_news(engine);
}

void fleet_rollback(struct engine *engine)
{
    engine->fleet.staged.has_taken_over = engine->fleet.staged.has_no_predecessor = false;
    free(STEAL(engine->fleet.staged.config));
    engine->fleet.next_look = 0; /* it may have failed for what others have done */
}

void fleet_commit(struct engine *engine)
{
    struct fleet *fleet = &engine->fleet;
    int64_t until = store_valid_until(engine->store);

    if (fleet->staged.has_taken_over) {
        fleet->must_take_over = false;
        fleet->next_watch = 0;
    }
    if (fleet->staged.config) {
        fleet->config = STEAL(fleet->staged.config);
        fleet->next_watch = 0;
        for (size_t i = 0; i < fleet->count; i++)
            fleet->nodes[i].compared = 0;
    }
    fleet->has_no_predecessor |= fleet->staged.has_no_predecessor;
    fleet->staged.has_taken_over = fleet->staged.has_no_predecessor = false;
    if (!store_node(engine->store) || until == fleet->valid_until)
        return;
    fleet->valid_until = until;
    fleet->next_beat = engine->now.mono + engine->settings.store.lease_ms / BEATS_PER_LEASE;
    if (engine->supervisor)
        supervisor_set_deadline(engine->supervisor, until);
}

int64_t fleet_deadline(const struct engine *engine)
{
    const struct fleet *fleet = &engine->fleet;

    if (!store_node(engine->store))
        return INT64_MAX;
    return fleet->next_look < fleet->next_beat ? fleet->next_look : fleet->next_beat;
}
