/* SPDX-License-Identifier: MIT */
/*
 * A store that fails on order. It wraps a real one: the program is linked with --wrap for each
 * writing verb (the list is in meson.build). Without an order, calls pass through.
 *
 * A daemon takes orders from the file named by FAULTY_ORDER in its environment. While the file
 * exists, its word says how commits end, and unknown outcomes stay unknown; or it names a verb,
 * which is then stale, as the log says.
 */
#pragma once

#include "store/store.h"

/* How an ordered commit ends. */
enum faulty_commit {
    FAULTY_REFUSED, /* nothing is committed, and the caller knows */
    FAULTY_UNSEEN,  /* it is committed, but reported as unknown */
    FAULTY_LOST,    /* nothing is committed, but reported as unknown */
};

/* The verbs that check a condition. */
enum faulty_verb {
    FAULTY_ADD,
    FAULTY_CHANGE,
    FAULTY_CANCEL,
    FAULTY_FINISH,
    FAULTY_REMOVE_PROFILE,
    FAULTY_ADOPT,
    FAULTY_END_NODE,
    FAULTY_VERB_COUNT,
};

/** The nth non-empty commit from now ends like this. */
void faulty_order_commit(enum faulty_commit how, int nth);
/** Whether store_resolve() keeps returning STORE_UNKNOWN. */
void faulty_stay_silent(bool is_silent);
/** The nth call of this verb from now is stale. */
void faulty_order_stale(enum faulty_verb verb, int nth);
/** Whether an order is pending. */
bool faulty_is_waiting(void);
/** Cancels all orders. */
void faulty_reset(void);
