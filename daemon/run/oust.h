/* SPDX-License-Identifier: MIT */
/*
 * Kills stopped supervisors and keepers that still hold the supervisor's lock after acpd has ended.
 *
 * Besides the shared lock, each locks the byte of the same file at the offset of its process id.
 * The kernel reports the holder of such a lock, so nothing can be outdated or forged, and no other
 * process is mistaken for one of them.
 */
#pragma once

#include "run/family.h"

struct oust {
    int lock;
    bool is_told;
    int clean_scans; /* consecutive rounds that found no live descendants */
    struct family family;
};

/** Lets the calling process be found. */
void oust_mark_lock(int lock);
/** One round of killing: their descendants, or, if there are none, themselves. */
void oust_holders(struct oust *oust);
void oust_deinit(struct oust *oust);
