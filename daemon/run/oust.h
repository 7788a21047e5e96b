/* SPDX-License-Identifier: MIT */
/*
 * Who still holds the supervisor's lock although acpd has ended: supervisors and keepers that
 * somebody has stopped.
 *
 * Beside the lock that they share, each has one of its own in the same file, on the byte whose
 * place is its process id. The kernel tells who has such a lock, so there is nothing that could be
 * out of date or forged, and no stranger is taken for one of them.
 */
#pragma once

#include "run/family.h"

struct oust {
    int lock;
    bool is_told;
    int clean_scans; /* in a row that found nobody alive below them */
    struct family family;
};

/** Makes the calling process one that can be found. */
void lock_mark(int lock);
/** One round of killing: what is below them, and when nothing is, themselves. */
void oust_holders(struct oust *oust);
void oust_deinit(struct oust *oust);
