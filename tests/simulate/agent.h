/* SPDX-License-Identifier: MIT */
/*
 * A simulated agent: walks the Agent Client Protocol at random. It answers or does not, well or
 * with an error, tells of its work, asks for permissions and for what it must not, speaks to
 * nobody, obeys a cancel or not, and ends its turn in every way.
 */
#pragma once

#include "common/macros.h"

struct agent;
struct run;

/** `is_good`: it does nothing wrong. */
struct agent *agent_new(struct run *run, bool is_good);
/** May be NULL. */
void agent_free(struct agent *agent);
/** What arrives on its stdin. */
void agent_hear(struct agent *agent, const char *bytes, size_t len);
