/* SPDX-License-Identifier: MIT */
#include "core/settings.h"

#include "common/strv.h"

const char *const overflow_policy_names[] = {
    [OVERFLOW_REJECT] = "reject",
    [OVERFLOW_REROUTE] = "reroute",
    [OVERFLOW_EVICT] = "evict",
    NULL,
};

const char *const settings_pooler_names[] = {
    [SETTINGS_NO_POOLER] = "none",
    [SETTINGS_TRANSACTION_POOLER] = "transaction",
    NULL,
};

const char *const settings_store_names[] = {
    [SETTINGS_SQLITE] = "sqlite",
    [SETTINGS_POSTGRES] = "postgres",
    NULL,
};

const char *const runner_type_names[] = {
    [RUNNER_COMMAND] = "command",
    [RUNNER_ACP] = "acp",
    [RUNNER_WORKER] = "worker",
    NULL,
};

void profile_config_deinit(struct profile_config *config)
{
    free(config->name);
    free(config->role);
    free(config->system_prompt);
    strv_free(config->capabilities);
    strv_free(config->retry_on);
    strv_free(config->nodes);
    free(config->color);
    free(config->icon);
    free(config->digest);
    strv_free(config->runner.command);
    strv_free(config->runner.env);
    free(config->runner.cwd);
    free(config->runner.mcp_servers);
    free(config->runner.model);
    free(config->runner.mode);
    free(config->runner.auth_method);
    free(config->runner.options);
    *config = (struct profile_config){0};
}

void settings_deinit(struct settings *settings)
{
    for (size_t i = 0; i < settings->profile_count; i++)
        profile_config_deinit(&settings->profiles[i]);
    free(settings->profiles);
    profile_config_deinit(&settings->defaults);
    free(settings->store.url);
    free(settings->node.name);
    free(settings->node.url);
    free(settings->socket_group);
    roles_deinit(&settings->roles);
    *settings = (struct settings){0};
}
