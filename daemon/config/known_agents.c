/* SPDX-License-Identifier: MIT */
#include "config/known_agents.h"

#include <stdlib.h>

#include "common/path.h"

const struct known_agent known_agents[] = {
    {"claude-agent-acp", "[\"claude-agent-acp\"]"},
    {"codex-acp", "[\"codex-acp\"]"},
    {"gemini", "[\"gemini\", \"--acp\"]"},
    {"copilot", "[\"copilot\", \"--acp\"]"},
    {"qwen", "[\"qwen\", \"--acp\"]"},
    {"opencode", "[\"opencode\", \"acp\"]"},
    {"cline", "[\"cline\", \"--acp\"]"},
    {"auggie", "[\"auggie\", \"--acp\"]"},
    {"pi-acp", "[\"pi-acp\"]"},
    {"goose", "[\"goose\", \"acp\"]"},
    {0},
};

char *known_agents_find(const struct known_agent *agent)
{
    return path_find_program(agent->program, getenv("PATH"), NULL);
}
