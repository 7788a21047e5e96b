/* SPDX-License-Identifier: MIT */
#include "known_agents.h"

#include <stdlib.h>

#include "common/path.h"

const struct known_agent known_agents[] = {
    {"claude-code-acp", "[\"claude-code-acp\"]"},
    {"claude-agent-acp", "[\"claude-agent-acp\"]"}, /* its successor */
    {"gemini", "[\"gemini\", \"--acp\"]"},
    {"codex-acp", "[\"codex-acp\"]"},
    {"opencode", "[\"opencode\", \"acp\"]"},
    {"goose", "[\"goose\", \"acp\"]"},
    {0},
};

char *known_agent_find(const struct known_agent *agent)
{
    return path_find_program(agent->program, getenv("PATH"), NULL);
}
