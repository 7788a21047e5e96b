/* SPDX-License-Identifier: MIT */
/*
 * Runs acpd in simulated worlds, each decided by its seed: clients, the disk, the clocks and kill
 * -9 do their worst, and a model of what was promised is held against what acpd says.
 */
#include <getopt.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "daemon.h"
#include "disk.h"
#include "faults.h"
#include "peer.h"
#include "world.h"

#define STEPS          600 /* of a world */
#define PEERS          4
#define PASSES_MAX     20000
#define CLOCK_STEP_MAX 86400000 /* ms, forwards or back */
#define DRAIN_MAX      20000    /* turns */
#define FAULT_S        60       /* in which each fault must be found */
#define WORLD_S        60       /* of real time that a world may take */

static const char *const configs[] = {
    "{\"linesPerPass\":3,\"profiles\":["
    "{\"name\":\"w\",\"maxConcurrentTasks\":2,\"runner\":{\"type\":\"worker\",\"lease\":30},"
    "\"retry\":{\"maxAttempts\":5}},"
    "{\"name\":\"v\",\"maxConcurrentTasks\":1,\"queueLimit\":20,"
    "\"runner\":{\"type\":\"worker\",\"lease\":30}}]}",
    "{\"profiles\":["
    "{\"name\":\"w\",\"maxConcurrentTasks\":2,\"runner\":{\"type\":\"worker\",\"lease\":30}},"
    "{\"name\":\"v\",\"maxConcurrentTasks\":1,\"queueLimit\":100,"
    "\"runner\":{\"type\":\"worker\",\"lease\":30}}]}",
};

static struct peer peers[PEERS];
static int64_t next_id;
static bool was_clock_set; /* since the start of acpd */

/* Of all worlds: shared by their processes. */
static struct {
    uint64_t calls, acknowledged, kills, cuts, failures, trace;
} * sums;

static struct call simulate_make_call(bool may_wait)
{
    static const enum method methods[] = {
        METHOD_ASSIGN, METHOD_ASSIGN, METHOD_ASSIGN,   METHOD_CLAIM,    METHOD_CLAIM,
        METHOD_CLAIM,  METHOD_CLAIM,  METHOD_COMPLETE, METHOD_COMPLETE, METHOD_COMPLETE,
        METHOD_FAIL,   METHOD_FAIL,   METHOD_EXTEND,   METHOD_CANCEL,   METHOD_RETRY,
        METHOD_UPDATE, METHOD_GET,    METHOD_LIST,     METHOD_STATES,
    };
    struct call call = {
        .method = methods[world_below(ARRAY_SIZE(methods))],
        .id = ++next_id,
        .sent_at = world_mono_ms(),
    };

    sums->calls++;
    if (call.method == METHOD_COMPLETE || call.method == METHOD_FAIL ||
        call.method == METHOD_EXTEND)
        call.task_id = model_pick_held(call.token);
    else if (call.method >= METHOD_CANCEL && call.method <= METHOD_GET)
        call.task_id = model_pick();
    if (!call.task_id && call.method >= METHOD_COMPLETE && call.method <= METHOD_GET)
        call.method = METHOD_STATES;
    call.may_wait = call.method == METHOD_CLAIM && may_wait && world_one_in(3);
    return call;
}

static void simulate_talk(void)
{
    struct peer *peer = &peers[world_below(PEERS)];
    size_t count = world_one_in(3) ? world_below(BATCH_MAX) + 1 : 1;
    bool is_batch = count > 1 && world_one_in(3);
    struct call made[BATCH_MAX];

    if (peer->fd < 0)
        peer_connect(peer);
    for (size_t i = 0; i < count; i++)
        made[i] = simulate_make_call(!is_batch);
    peer_add(peer, made, count, is_batch);
    peer_send(peer, world_one_in(4) ? world_below(200) : SIZE_MAX);
}

static void simulate_pass(void)
{
    daemon_pass();
    for (size_t i = 0; i < PEERS; i++)
        if (peers[i].fd >= 0 && !world_one_in(4))
            peer_read(&peers[i]);
}

static void simulate_hang_up(void)
{
    peer_drop(&peers[world_below(PEERS)]);
}

static void simulate_wait(void)
{
    world_wait(world_one_in(20) ? (int64_t)world_below(3600000) : (int64_t)world_below(2000));
}

static void simulate_set_clock(void)
{
    world_set_clock((int64_t)world_below(2 * CLOCK_STEP_MAX) - CLOCK_STEP_MAX);
    was_clock_set = true;
}

static void simulate_break_disk(void)
{
    disk_set(world_one_in(2) ? DISK_FULL : DISK_FAILING);
}

static void simulate_mend_disk(void)
{
    disk_set(DISK_GOOD);
}

static void simulate_start(void)
{
    if (was_clock_set)
        model_doubt_leases();
    was_clock_set = false;
    while (!daemon_start())
        disk_set(DISK_GOOD);
}

static void simulate_kill(void)
{
    bool cuts_power = world_one_in(2);

    for (size_t i = 0; i < PEERS; i++)
        peer_drop(&peers[i]);
    if (cuts_power && disk_get() == DISK_FAILING)
        model_forgive_refused();
    daemon_kill();
    if (cuts_power)
        disk_cut_power();
    sums->kills++;
    sums->cuts += cuts_power;
    world_wait((int64_t)world_below(10000));
    simulate_start();
}

static void simulate_reload(void)
{
    daemon_configure(configs[world_below(ARRAY_SIZE(configs))]);
    daemon_reload();
}

/* What happens, and how often. */
static const struct {
    void (*act)(void);
    unsigned weight;
} actions[] = {
    {simulate_talk, 100},    {simulate_pass, 100},    {simulate_wait, 8},
    {simulate_hang_up, 4},   {simulate_set_clock, 1}, {simulate_break_disk, 2},
    {simulate_mend_disk, 4}, {simulate_kill, 2},      {simulate_reload, 1},
};

static void simulate_act(void)
{
    uint64_t sum = 0, lot;
    size_t i = 0;

    for (size_t at = 0; at < ARRAY_SIZE(actions); at++)
        sum += actions[at].weight;
    for (lot = world_below(sum); lot >= actions[i].weight; i++)
        lot -= actions[i].weight;
    world_note(&i, 1);
    actions[i].act();
}

/* All that was asked is answered. */
static void simulate_settle(void)
{
    disk_set(DISK_GOOD);
    for (size_t i = 0; i < PEERS; i++) {
        for (int pass = 0; peers[i].fd >= 0 && peers[i].line_count; pass++) {
            EXPECT(pass < PASSES_MAX, "a call is not answered");
            peer_send(&peers[i], SIZE_MAX);
            daemon_pass();
            world_wait(10);
            peer_read(&peers[i]);
        }
        peer_drop(&peers[i]);
    }
    for (int pass = 0; daemon_pass() || daemon_connections(); pass++)
        EXPECT(pass < PASSES_MAX, "%zu connections are left", daemon_connections());
}

static void simulate_audit(struct peer *peer)
{
    struct json_object *all = json_object_new_array(), *states;
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
    states = peer_call(peer, "get_profile_states", "{}");
    model_audit(all, states);
    json_object_put(states);
    json_object_put(all);
}

/* Tasks that wait or run. */
static int64_t simulate_count_open(struct peer *peer)
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

/* A diligent worker takes whatever is left: every task comes to its end. */
static void simulate_drain(struct peer *peer)
{
    for (int turn = 0;; turn++) {
        struct json_object *claim =
            peer_call(peer, "claim_task", "{\"profiles\":[\"w\",\"v\"],\"worker\":\"last\"}");
        struct json_object *task = json_get(claim, "task");
        CLEANUP(freep)
        char *params =
            xasprintf("{\"id\":%s,\"lease\":\"%s\",\"result\":%s}", json_get_string(task, "id"),
                      json_get_string(claim, "lease"), json_get_string(task, "id"));
        bool is_idle = !task;

        json_object_put(claim);
        if (!is_idle) {
            json_object_put(peer_call(peer, "complete_task", params));
            continue;
        }
        if (simulate_count_open(peer) == 0)
            return;
        EXPECT(turn < DRAIN_MAX, "a task does not come to its end");
        world_wait(60000);
    }
}

static void simulate_world(uint64_t seed)
{
    struct peer auditor;

    world_begin(seed, daemon_end);
    model_begin();
    next_id = 0;
    daemon_configure(configs[0]);
    simulate_start();
    for (size_t i = 0; i < PEERS; i++)
        peers[i] = (struct peer){.fd = -1};
    for (int step = 0; step < STEPS; step++)
        simulate_act();
    simulate_settle();
    peer_connect(&auditor);
    simulate_audit(&auditor);
    simulate_drain(&auditor);
    peer_drop(&auditor);
    daemon_kill();
    daemon_end();
    sums->acknowledged += model_acknowledged();
    sums->failures += disk_failures();
    sums->trace = sums->trace * 31 + world_trace();
    model_end();
}

/* A world in a process of its own, so that nothing of another is left in it. Returns its status. */
static int simulate_apart(uint64_t seed, size_t fault)
{
    int status;
    pid_t child = fork();

    EXPECT(child >= 0);
    if (child == 0) {
        alarm(WORLD_S);
        faults_put_in(fault);
        if (fault)
            EXPECT(freopen("/dev/null", "w", stderr));
        simulate_world(seed);
        _exit(EXIT_SUCCESS);
    }
    waitpid(child, &status, 0);
    return status;
}

/* Returns the number of worlds that it took, or 0. */
static uint64_t simulate_find_fault(size_t number, uint64_t seed)
{
    time_t end = time(NULL) + FAULT_S;

    for (uint64_t worlds = 1; time(NULL) < end; worlds++)
        if (simulate_apart(seed + worlds, number))
            return worlds;
    return 0;
}

static int simulate_test_itself(uint64_t seed)
{
    int missed = 0;

    for (size_t number = 1; faults_name(number); number++) {
        uint64_t worlds = simulate_find_fault(number, seed);

        printf("%-40s %s %llu\n", faults_name(number), worlds ? "found in world" : "not found",
               (unsigned long long)worlds);
        fflush(stdout);
        missed += !worlds;
    }
    return missed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char usage[] =
    "simulate [--seed N] [--minutes M] [--self-test]\n"
    "Runs acpd in simulated worlds. One world without --minutes; a fresh seed without --seed.\n";

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"seed", required_argument, NULL, 's'},
                                                 {"minutes", required_argument, NULL, 'm'},
                                                 {"self-test", no_argument, NULL, 't'},
                                                 {0}};
    uint64_t seed = (uint64_t)time(NULL), worlds = 0;
    double minutes = 0;
    bool tests_itself = false;
    time_t end;
    int c;

    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (c == 's')
            seed = strtoull(optarg, NULL, 10);
        else if (c == 'm')
            minutes = strtod(optarg, NULL);
        else if (c == 't')
            tests_itself = true;
        else
            return fputs(usage, stderr), EXIT_FAILURE;
    }
    sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(sums != MAP_FAILED);
    disk_install();
    if (tests_itself)
        return simulate_test_itself(seed);
    end = time(NULL) + (time_t)(minutes * 60);
    do
        if (simulate_apart(seed + worlds++, 0))
            return EXIT_FAILURE;
    while (time(NULL) < end);
    printf("seed %llu: %llu worlds, %llu calls, %llu of them acknowledged assignments, %llu kills, "
           "%llu power cuts, %llu failures of the disk; trace %016llx\n",
           (unsigned long long)seed, (unsigned long long)worlds, (unsigned long long)sums->calls,
           (unsigned long long)sums->acknowledged, (unsigned long long)sums->kills,
           (unsigned long long)sums->cuts, (unsigned long long)sums->failures,
           (unsigned long long)sums->trace);
    return EXIT_SUCCESS;
}
