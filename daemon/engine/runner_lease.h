/* SPDX-License-Identifier: MIT */
/*
 * Attempts by workers: external processes that claim tasks over the socket and hold them by leases.
 *
 * The token of a lease names one attempt and is known to its worker alone; whoever comes with
 * another one changes nothing. A lease is stored with its task, so it survives acpd; how long it
 * still holds is measured by the monotonic clock, and starts anew with acpd.
 */
#pragma once

#include "engine/state.h"

/** At the start: the attempts of leases that the store holds. */
int lease_adopt_all(struct engine *engine);
