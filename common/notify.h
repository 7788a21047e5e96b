/* SPDX-License-Identifier: MIT */
/*
 * Communication with systemd: sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3), without
 * libsystemd.
 */
#pragma once

#include "common/macros.h"

/** Reads systemd's environment variables and removes them, so that no child uses them. Call it
 *  once, before there are children. */
void notify_setup(void);

/** Notifies systemd, if it wants notifications, e.g. "READY=1". */
void notify_systemd(const char *state);
/** systemd's watchdog interval in ms; 0: none. */
int64_t notify_watchdog_ms(void);
/** Number of sockets that systemd passed: this descriptor and those after it. */
#define NOTIFY_FIRST_LISTENER 3
int notify_listeners(void);
