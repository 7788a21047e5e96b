/* SPDX-License-Identifier: MIT */
#pragma once

/** Tells systemd, if it asked: sd_notify(3), e.g. "READY=1". */
void notify_systemd(const char *state);
