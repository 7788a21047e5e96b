/* SPDX-License-Identifier: MIT */
#pragma once

#include "engine/state.h"

/** Takes over what dead acpds left: attempts are interrupted and their tasks queued again, leases
 *  of workers go on, and what was counted is kept. */
MUST_CHECK int takeover_from_dead(struct engine *engine);
