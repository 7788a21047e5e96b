/* SPDX-License-Identifier: MIT */
/* The clients of a world. To add a kind, add a row to clients.c. */
#pragma once

#include "peer.h"

void clients_begin(size_t count);
/** One of them makes some calls; returns how many. */
size_t clients_talk(void);
/** Those whose time it is read what has arrived. */
void clients_read(void);
/** One of them hangs up, or says that it has nothing more to ask. */
void clients_hang_up(void);
/** All of them hang up. */
void clients_drop(void);
/** All that they asked is answered; then they hang up. */
void clients_settle(void);
/** The same, for one that stays connected. */
void clients_hear(struct peer *peer);
/** A number that no call has had. */
int64_t clients_next_id(void);
