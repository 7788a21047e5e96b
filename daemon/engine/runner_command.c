/* SPDX-License-Identifier: MIT */
/* Attempts by commands: a program that reads its task from stdin. */
#include "engine/judge.h"
#include "engine/runner.h"

static void runner_command_on_log(struct run *run UNUSED, void *data)
{
    attempt_note_growth(data);
}

static void runner_command_on_run_end(struct run *run, const struct run_end *end, void *data)
{
    struct attempt *attempt = data;

    attempt->run = NULL;
    judge_end(attempt, end);
    judge_keep_tail(attempt, end->stderr_lines);
    if (attempt->class == ERROR_NONE)
        attempt->result = judge_result(attempt, run, end);
    attempt_end(attempt);
}

static void runner_command_launch(struct attempt *attempt, const struct run_spec *spec)
{
    const struct run_handler handler = {
        .on_log = runner_command_on_log, .on_end = runner_command_on_run_end, .data = attempt};

    attempt->run = run_start(attempt->engine->supervisor, spec, &handler);
}

static void runner_command_stop(struct attempt *attempt)
{
    if (attempt->run)
        run_stop(attempt->run);
}

static void runner_command_expire(struct attempt *attempt)
{
    attempt_stop(attempt, ERROR_TIMEOUT);
}

static uint64_t runner_command_run_id(const struct attempt *attempt)
{
    return attempt->run ? run_id(attempt->run) : 0;
}

const struct runner runner_command = {
    .launch = runner_command_launch,
    .stop = runner_command_stop,
    .expire = runner_command_expire,
    .run_id = runner_command_run_id,
};
