/* SPDX-License-Identifier: MIT */
/* Starting what an attempt runs, and what becomes of it when a command ends. */
#include <errno.h>

#include "common/alloc.h"
#include "common/strv.h"
#include "engine/attempt.h"

#define OUTPUT_TAIL (64 * 1024) /* of stdout, for the result */

static void on_log(struct run *run UNUSED, void *data)
{
    ((struct attempt *)data)->log_has_grown = true;
}

static void on_run_end(struct run *run, const struct run_end *end, void *data)
{
    struct attempt *attempt = data;

    attempt->run = NULL;
    attempt_judge(attempt, end);
    attempt_keep_tail(attempt, end->stderr_lines);
    if (attempt->class == ERROR_NONE)
        attempt->result = attempt_read_result(attempt, run, end);
    attempt_end(attempt);
}

static struct run_limits attempt_limits(const struct limits *limits)
{
    return (struct run_limits){
        .memory = limits->memory,
        .processes = limits->processes,
        .cpu_s = (limits->cpu_ms + 999) / 1000,
        .open_files = limits->open_files,
    };
}

int engine_check_limits(const struct settings *settings, const struct cgroup *cgroup,
                        char **ret_error)
{
    for (size_t i = 0; i < settings->profile_count; i++) {
        struct run_limits limits = attempt_limits(&settings->profiles[i].limits);
        const char *reason, *name = run_limits_check(&limits, cgroup, &reason);

        if (!name)
            continue;
        *ret_error = xasprintf("profiles[%zu].limits.%s: cannot be kept here: %s", i, name, reason);
        return -EINVAL;
    }
    return 0;
}

void attempt_launch(struct attempt *attempt)
{
    const struct engine *engine = attempt->engine;
    const struct profile_config *config = &attempt->profile->config;
    CLEANUP(freep) char *log_path = engine_log_path(engine, attempt->task_id, attempt->number);
    CLEANUP(strv_freep) char **env = NULL;
    struct run_spec spec;

    attempt->state = ATTEMPT_RUNNING;
    if (attempt->lease) {
        attempt_arm(attempt);
        return;
    }
    /* The pass that claimed the task also changed the configuration. */
    if (config->runner.type == RUNNER_WORKER) {
        attempt_expire(attempt, ERROR_INTERRUPTED, xstrdup("its profile is now one of workers"));
        attempt->engine->has_more_work = true;
        return;
    }
    for (size_t i = 0; config->runner.env && config->runner.env[i]; i++)
        strv_push(&env, xstrdup(config->runner.env[i]));
    strv_push(&env, xasprintf("ACPD_TASK_ID=%lld", (long long)attempt->task_id));
    strv_push(&env, xasprintf("ACPD_ATTEMPT=%lld", (long long)attempt->number));
    strv_push(&env, xasprintf("ACPD_PROFILE=%s", config->name));
    strv_push(&env, xasprintf("ACPD_SOCKET=%s", engine->socket_path));

    spec = (struct run_spec){
        .argv = (const char *const *)config->runner.command,
        .env = (const char *const *)env,
        .cwd = config->runner.cwd,
        .input = attempt->input.data,
        .input_len = attempt->input.len,
        .log_path = log_path,
        .log_limit = engine->settings.log_limit,
        .tail_limit = OUTPUT_TAIL,
        .line_limit = (size_t)engine->settings.input_limit,
        .grace_ms = engine->settings.kill_grace_ms,
        .limits = attempt_limits(&config->limits),
    };
    if (config->runner.type == RUNNER_ACP)
        attempt_launch_agent(attempt, &spec);
    else
        attempt->run = run_start(
            engine->supervisor, &spec,
            &(struct run_handler){.on_log = on_log, .on_end = on_run_end, .data = attempt});
    buf_deinit(&attempt->input);
    if (attempt->stop == ERROR_NONE)
        attempt_arm(attempt);
}
