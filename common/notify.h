/* SPDX-License-Identifier: MIT */
/*
 * What a service and systemd say to each other: sd_notify(3), sd_watchdog_enabled(3) and
 * sd_listen_fds(3), without the library.
 */
#pragma once

#include "common/macros.h"

/** Takes what systemd said in the environment, and takes it away there: no child is to believe that
 *  it is meant. To be called once, before there are children. */
void notify_setup(void);

/** Tells systemd, if it asked, e.g. "READY=1". */
void notify_systemd(const char *state);
/** How often systemd wants to hear "WATCHDOG=1", in ms; 0: it does not ask. */
int64_t notify_watchdog_ms(void);
/** How many sockets systemd listens on for this service: this descriptor and those behind it. */
#define NOTIFY_FIRST_LISTENER 3
int notify_listeners(void);
