/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <string.h>

#include "agent.h"
#include "common/alloc.h"
#include "common/list.h"
#include "model.h"
#include "question.h"
#include "run/run_log.h"
#include "world.h"

#define UNLUCKY_TASKS    8 /* one in as many */
#define UNLUCKY_ATTEMPTS 12
#define READY_MS         3000  /* at most: how long the families of the last acpd take to end */
#define WORK_MS          20000 /* at most */
#define NEVER_MS         (INT64_C(400) * 86400000)
#define CALM_AGENT_MS    600000 /* how long an agent works on at most, in the end */

enum manner {
    MANNER_WORKS,
    MANNER_FAILS,
    MANNER_IS_SIGNALED,
    MANNER_HANGS,
    MANNER_IGNORES_SIGTERM,
    MANNER_FLOODS,
    MANNER_IS_LOST,
    MANNER_DOES_NOT_START,
    MANNER_COUNT,
};

struct supervisor {
    struct event_base *base;
    struct list runs;
    int64_t ready_at; /* monotonic ms */
};

struct run {
    struct list link;
    struct supervisor *supervisor;
    struct run_handler handler;
    struct run_log *log;
    struct agent *agent; /* NULL: a command */
    struct event next;   /* what it does next: an agent's words, or its end */
    char profile[16];
    char mark[48];
    int64_t task, attempt; /* 0: it works on none */
    int64_t grace_ms;
    enum manner manner;
    bool is_stopping;
    bool exits, rests; /* of an agent, once it has said everything */
    bool is_endless;   /* what it says */
    int64_t leaves_at; /* monotonic ms; 0: it stays */
    struct buf said;   /* and not heard yet */
    struct run_end end;
};

static struct supervisor *current; /* that of acpd, if it runs */
static bool is_calm;

static void process_decide(struct run *run);
static void process_do_next(struct run *run, int64_t ms);

/* Commands that hang come to their end, too. So do agents: one whose tool works may be silent for
 * as long as its task's timeout says, which may be a year. */
void process_calm(void)
{
    is_calm = true;
    if (!current)
        return;
    list_for_each (link, &current->runs) {
        struct run *run = list_entry(link, struct run, link);

        if (run->agent && !run->is_stopping && !run->exits) {
            process_leave(run, CALM_AGENT_MS);
            if (!run->said.len && !run->is_endless)
                process_do_next(run, CALM_AGENT_MS);
        }
        if (run->agent || run->is_stopping ||
            (run->manner != MANNER_HANGS && run->manner != MANNER_IGNORES_SIGTERM))
            continue;
        run->manner = MANNER_WORKS;
        process_decide(run);
    }
}

/* --- the supervisor -----------------------------------------------------------------------------
 */

struct supervisor *process_supervisor(struct event_base *base)
{
    struct supervisor *supervisor = xcalloc(1, sizeof(*supervisor));

    supervisor->base = base;
    supervisor->ready_at = world_mono_ms() + (int64_t)world_below(READY_MS);
    list_init(&supervisor->runs);
    current = supervisor;
    return supervisor;
}

static void process_free(struct run *run)
{
    list_remove(&run->link);
    event_del(&run->next);
    agent_free(run->agent);
    run_log_free(run->log);
    buf_deinit(&run->said);
    free(run);
}

void process_end_all(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    list_for_each_safe (link, &supervisor->runs)
        process_free(list_entry(link, struct run, link));
    free(supervisor);
    current = NULL;
}

void supervisor_set_deadline(struct supervisor *supervisor UNUSED, int64_t boot_ms UNUSED)
{
    /* Nobody shares the store. */
}

bool supervisor_is_ready(const struct supervisor *supervisor)
{
    return world_mono_ms() >= supervisor->ready_at;
}

bool supervisor_is_above(const struct supervisor *supervisor UNUSED, pid_t pid UNUSED,
                         uint64_t *ret_run)
{
    *ret_run = 0;
    return false;
}

const char *run_limits_check(const struct run_limits *limits UNUSED,
                             const struct cgroup *cgroup UNUSED, const char **ret_reason)
{
    *ret_reason = NULL;
    return NULL;
}

/* --- the end ------------------------------------------------------------------------------------
 */

/* After some time. */
static void process_do_next(struct run *run, int64_t ms)
{
    event_add(&run->next, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void process_plan_end(struct run *run, enum run_outcome outcome, int code, int64_t ms)
{
    run->end.outcome = outcome;
    run->end.code = code;
    process_do_next(run, ms);
}

static void process_end(struct run *run)
{
    struct run_end *end = &run->end;
    char line[96];

    if (!run->agent && end->outcome == RUN_EXITED && end->code == 0) {
        model_note_success(run->task, run->attempt);
        snprintf(line, sizeof(line), "%s%s%s", run->attempt % 2 ? "{\"mark\":\"" : "", run->mark,
                 run->attempt % 2 ? "\"}" : "");
        end->line = end->output = line;
        end->line_len = end->output_len = strlen(line);
    }
    if (end->outcome == RUN_NOT_STARTED)
        end->message = end->code == EAGAIN ? PROCESS_SHORTAGE : "cannot be started";
    else if (world_one_in(2))
        end->stderr_lines = "something went wrong\n    at its place\n";
    run_log_end(run->log);
    run->handler.on_end(run, end, run->handler.data);
    process_free(run);
}

/* For some tasks there is no process to be had, again and again. */
static bool process_is_unlucky(const struct run *run)
{
    return run->task % UNLUCKY_TASKS == 0 && run->attempt <= UNLUCKY_ATTEMPTS;
}

/* A command. */
static void process_decide(struct run *run)
{
    static const int statuses[] = {1, 2, 64, 65, 69, 75, 77, 78, 127, 255};
    int64_t ms = (int64_t)world_below(WORK_MS);

    switch (run->manner) {
    case MANNER_FAILS:
        process_plan_end(run, RUN_EXITED, statuses[world_below(ARRAY_SIZE(statuses))], ms);
        break;
    case MANNER_IS_SIGNALED:
        process_plan_end(run, RUN_SIGNALED, SIGSEGV, ms);
        break;
    case MANNER_IS_LOST:
        process_plan_end(run, RUN_LOST, 0, ms);
        break;
    case MANNER_DOES_NOT_START:
        process_plan_end(run, RUN_NOT_STARTED,
                         process_is_unlucky(run) || world_one_in(2) ? EAGAIN : ENOENT, ms / 1000);
        break;
    case MANNER_HANGS:
    case MANNER_IGNORES_SIGTERM:
        process_plan_end(run, RUN_EXITED, 0, NEVER_MS);
        break;
    case MANNER_WORKS:
    case MANNER_FLOODS:
    case MANNER_COUNT:
        process_plan_end(run, RUN_EXITED, 0, ms);
    }
}

static void process_flood(struct run *run)
{
    static char flood[8192];

    memset(flood, 'x', sizeof(flood));
    for (int i = 0; i < 4; i++) {
        run_log_add(run->log, RUN_STDOUT, flood, sizeof(flood));
        if (run->handler.on_log)
            run->handler.on_log(run, run->handler.data);
    }
}

/* An agent's next words, in pieces; what follows them when all is said. */
static void process_speak(struct run *run)
{
    size_t len = world_one_in(3) ? world_below(run->said.len + 1) : run->said.len;
    char bytes[1024];

    len = len < sizeof(bytes) ? len : sizeof(bytes);
    memcpy(bytes, run->said.data, len);
    buf_consume(&run->said, len);
    if (run->said.len || run->exits)
        process_do_next(run, (int64_t)world_below(200));
    else if (run->rests)
        run->task = 0;
    if (!run->said.len && !run->exits && run->leaves_at)
        process_do_next(run,
                        run->leaves_at > world_mono_ms() ? run->leaves_at - world_mono_ms() : 0);
    if (len)
        run->handler.on_output(run, bytes, len, run->handler.data);
}

/* A piece of a line that has no end. */
static void process_speak_endlessly(struct run *run)
{
    static char piece[1 << 20];

    memset(piece, 'x', sizeof(piece));
    process_do_next(run, 10);
    run->handler.on_output(run, piece, sizeof(piece), run->handler.data);
}

static void process_on_next(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct run *run = data;

    if (run->is_endless && !run->is_stopping)
        process_speak_endlessly(run);
    else if (run->agent && run->said.len && !run->is_stopping)
        process_speak(run);
    else if (run->leaves_at && world_mono_ms() >= run->leaves_at && !run->is_stopping &&
             !run->exits)
        process_exit(run, 0);
    else if (!run->agent || run->exits || run->is_stopping)
        process_end(run);
}

void process_kill_supervisor(void)
{
    current->ready_at = world_mono_ms() + (int64_t)world_below(READY_MS);
    list_for_each (link, &current->runs) {
        struct run *run = list_entry(link, struct run, link);

        run->is_stopping = true;
        process_plan_end(run, RUN_LOST, 0, 0);
    }
}

/* --- run/run.h ----------------------------------------------------------------------------------
 */

/* The log's path names the attempt: …/TASK-ATTEMPT.jsonl */
static void process_begin(struct run *run, const char *log_path)
{
    long long task = 0, attempt = 0;
    const char *name = strrchr(log_path, '/');

    EXPECT(name && sscanf(name, "/%lld-%lld", &task, &attempt) == 2, "%s", log_path);
    list_for_each (link, &run->supervisor->runs) {
        const struct run *other = list_entry(link, struct run, link);

        EXPECT(other == run || other->task != task, "two processes work on task %lld", task);
    }
    run->task = task;
    run->attempt = attempt;
    snprintf(run->mark, sizeof(run->mark), "by %lld-%lld", task, attempt);
    world_note("start:", run->mark, strlen(run->mark));
    model_note_start(task, attempt, run->profile);
}

static const char *process_profile(const struct run_spec *spec)
{
    static const char name[] = "ACPD_PROFILE=";

    for (size_t i = 0; spec->env[i]; i++)
        if (strncmp(spec->env[i], name, strlen(name)) == 0)
            return spec->env[i] + strlen(name);
    EXPECT(false, "the environment does not name the profile");
    return NULL;
}

struct run *run_start(struct supervisor *supervisor, const struct run_spec *spec,
                      const struct run_handler *handler)
{
    struct run *run = xcalloc(1, sizeof(*run));

    run->supervisor = supervisor;
    run->handler = *handler;
    run->grace_ms = spec->grace_ms;
    run->log = run_log_new(spec->log_path, spec->log_limit);
    snprintf(run->profile, sizeof(run->profile), "%s", process_profile(spec));
    list_append(&supervisor->runs, &run->link);
    event_assign(&run->next, supervisor->base, -1, 0, process_on_next, run);
    run->manner =
        is_calm || world_one_in(2) ? MANNER_WORKS : (enum manner)world_below(MANNER_COUNT);
    process_begin(run, spec->log_path);
    if (process_is_unlucky(run))
        run->manner = MANNER_DOES_NOT_START;
    if (run->manner == MANNER_FLOODS)
        process_flood(run);
    if (!spec->is_dialog || run->manner == MANNER_DOES_NOT_START) {
        process_decide(run);
        run->exits = spec->is_dialog;
    }
    if (spec->is_dialog)
        run->agent = agent_new(run, is_calm);
    return run;
}

void run_stop(struct run *run)
{
    if (run->is_stopping)
        return;
    run->is_stopping = true;
    if (run->manner == MANNER_IGNORES_SIGTERM)
        process_plan_end(run, RUN_SIGNALED, SIGKILL, run->grace_ms);
    else if (world_one_in(8))
        process_plan_end(run, RUN_EXITED, 0, (int64_t)world_below(100));
    else
        process_plan_end(run, RUN_SIGNALED, SIGTERM, (int64_t)world_below(300));
}

void run_write(struct run *run, const void *data, size_t len)
{
    agent_hear(run->agent, data, len);
}

size_t run_unread(const struct run *run UNUSED)
{
    return 0;
}

void run_close_input(struct run *run)
{
    if (run->manner != MANNER_HANGS && run->manner != MANNER_IGNORES_SIGTERM)
        process_exit(run, 0);
}

struct run_log *run_get_log(struct run *run)
{
    return run->log;
}

void run_set_log(struct run *run, const char *path, int64_t limit)
{
    run_log_free(run->log);
    run->log = run_log_new(path, limit);
    run->rests = false;
    process_begin(run, path);
}

struct event_base *run_get_base(struct run *run)
{
    return run->supervisor->base;
}

uint64_t run_id(const struct run *run UNUSED)
{
    return 0;
}

/* --- for agents ---------------------------------------------------------------------------------
 */

void process_say(struct run *run, const char *bytes, size_t len)
{
    if (run->exits || run->is_stopping)
        return;
    buf_add(&run->said, bytes, len);
    process_do_next(run, world_one_in(10) ? (int64_t)world_below(8000) : (int64_t)world_below(100));
}

void process_exit(struct run *run, int status)
{
    if (run->exits || run->is_stopping)
        return;
    run->exits = true;
    if (run->manner == MANNER_IS_LOST)
        process_plan_end(run, RUN_LOST, 0, (int64_t)world_below(200));
    else if (run->manner == MANNER_IS_SIGNALED)
        process_plan_end(run, RUN_SIGNALED, SIGKILL, (int64_t)world_below(200));
    else
        process_plan_end(run, RUN_EXITED, status, (int64_t)world_below(200));
}

void process_leave(struct run *run, int64_t ms)
{
    run->leaves_at = world_mono_ms() + ms;
}

void process_never_end_line(struct run *run)
{
    run->is_endless = true;
    process_do_next(run, 10);
}

void process_rest(struct run *run)
{
    run->rests = true;
}

void process_succeed(struct run *run)
{
    model_note_success(run->task, run->attempt);
}

void process_note_answer(const struct run *run, int64_t question, bool is_yes)
{
    char id[64];

    snprintf(id, sizeof(id), "%lld-%lld-%lld", (long long)run->task, (long long)run->attempt,
             (long long)question);
    question_note_answer(id, run->profile, is_yes);
}

void process_note_prompt(const struct run *run, const char *model, const char *mode,
                         const char *level)
{
    model_note_prompt(run->task, model, mode, level);
}

const char *process_mark(const struct run *run)
{
    return run->mark;
}

/* --- for the model ------------------------------------------------------------------------------
 */

bool process_works_on(int64_t task, int64_t attempt)
{
    if (!current)
        return false;
    list_for_each (link, &current->runs) {
        const struct run *run = list_entry(link, struct run, link);

        if (run->task == task && (!attempt || run->attempt == attempt))
            return true;
    }
    return false;
}

bool process_is_working(void)
{
    if (!current)
        return false;
    list_for_each (link, &current->runs)
        if (list_entry(link, struct run, link)->task)
            return true;
    return false;
}

bool process_is_endless(void)
{
    if (!current)
        return false;
    list_for_each (link, &current->runs)
        if (list_entry(link, struct run, link)->is_endless)
            return true;
    return false;
}

size_t process_count(const char *profile)
{
    size_t count = 0;

    if (!current)
        return 0;
    list_for_each (link, &current->runs) {
        const struct run *run = list_entry(link, struct run, link);

        count += run->task && strcmp(run->profile, profile) == 0;
    }
    return count;
}

void process_visit(bool are_agents, void (*visit)(int64_t task, int64_t attempt, void *data),
                   void *data)
{
    if (!current)
        return;
    list_for_each (link, &current->runs) {
        const struct run *run = list_entry(link, struct run, link);

        if (!run->agent == !are_agents && run->task && !run->is_stopping)
            visit(run->task, run->attempt, data);
    }
}
