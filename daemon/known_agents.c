/* SPDX-License-Identifier: MIT */
#include "known_agents.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"

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
    const char *path = getenv("PATH");
    CLEANUP(freep) char *folders = xstrdup(path ? path : "");
    char *rest = folders, *folder;

    while ((folder = strsep(&rest, ":"))) {
        CLEANUP(freep) char *file = xasprintf("%s/%s", folder[0] ? folder : ".", agent->program);

        if (access(file, X_OK) == 0)
            return STEAL(file);
    }
    return NULL;
}
