/* SPDX-License-Identifier: MIT */
/*
 * Attempts by workers: external processes that claim tasks over the socket and hold them by leases.
 *
 * The token of a lease identifies one attempt and is known only to its worker; calls with another
 * token change nothing. A lease is stored with its task, so it survives acpd; its remaining time is
 * measured by the monotonic clock and restarts with acpd.
 */
#pragma once

#include "engine/state.h"

/** At the start: creates attempts for the leases in the store. */
MUST_CHECK int runner_lease_adopt_all(struct engine *engine);
