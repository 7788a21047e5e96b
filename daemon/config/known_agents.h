/* SPDX-License-Identifier: MIT */
/* The agents that people are likely to have, and how each is started as a profile. */
#pragma once

#include "common/macros.h"

struct known_agent {
    const char *program; /* as it is found on PATH */
    const char *command; /* the runner's command, as JSON */
};

/** Ended by a row without a program. */
extern const struct known_agent known_agents[];

/** Where the program is on PATH, to be freed; NULL: nowhere. */
char *known_agents_find(const struct known_agent *agent);
