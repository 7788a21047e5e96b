/* SPDX-License-Identifier: MIT */
/* The end of a pass: committed changes take effect. Programs are started and stopped. */
#include <errno.h>

#include "common/alloc.h"
#include "common/strv.h"
#include "engine/runner.h"
#include "engine/task_log.h"

#define OUTPUT_TAIL (64 * 1024) /* of stdout, for the result */

static struct run_limits launch_attempt_limits(const struct limits *limits)
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
        struct run_limits limits = launch_attempt_limits(&settings->profiles[i].limits);
        const char *reason, *name = run_limits_check(&limits, cgroup, &reason);

        if (!name)
            continue;
        *ret_error =
            xasprintf("profiles[%zu].limits.%s: cannot be enforced here: %s", i, name, reason);
        return -EINVAL;
    }
    return 0;
}

static void launch(struct attempt *attempt)
{
    const struct engine *engine = attempt->engine;
    const struct profile_config *config = &attempt->profile->config;
    CLEANUP(freep) char *log_path = task_log_path(engine, attempt->task_id, attempt->number);
    CLEANUP(strv_freep) char **env = NULL;
    struct run_spec spec;

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
        .limits = launch_attempt_limits(&config->limits),
    };
    attempt->runner->launch(attempt, &spec);
    buf_deinit(&attempt->input);
}

static void launch_begin(struct attempt *attempt)
{
    attempt->state = ATTEMPT_RUNNING;
    if (clock_boot_ms() >= store_valid_until(attempt->engine->store)) {
        attempt_end_as(
            attempt, ERROR_INTERRUPTED,
            xstrdup("the commit took too long; another node may have taken the task over"));
        attempt->engine->has_more_work = true;
        return;
    }
    if (attempt->runner != &runner_lease) {
        /* The pass that claimed the task may also have changed the configuration. */
        attempt->runner = runner_of(attempt->profile->config.runner.type);
        if (attempt->runner == &runner_lease) {
            attempt_end_as(attempt, ERROR_INTERRUPTED, xstrdup("its profile now uses workers"));
            attempt->engine->has_more_work = true;
            return;
        }
        launch(attempt);
    }
    if (attempt->stop == ERROR_NONE)
        attempt_arm(attempt);
}

void engine_launch(struct engine *engine)
{
    list_for_each_safe (link, &engine->touched) {
        struct attempt *attempt = list_entry(link, struct attempt, touched);

        if (attempt->state == ATTEMPT_CLAIMED)
            launch_begin(attempt);
        if (attempt->runner->commit)
            attempt->runner->commit(attempt);
        if (attempt->stop_is_staged) {
            attempt->stop_is_staged = false;
            attempt->runner->stop(attempt);
        }
        attempt_rest(attempt);
    }
}
