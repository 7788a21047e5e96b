/* SPDX-License-Identifier: MIT */
/*
 * A store that fails on order. It stands before a real one: the program is linked with --wrap for
 * each verb that writes (meson.build has the list), and what nobody has ordered goes through.
 *
 * A daemon takes its orders from the file that FAULTY_ORDER in its environment names: while the
 * file is there, its word says how commits end, and the outcome of one that is unknown stays so; or
 * it names a verb, which is stale.
 */
#pragma once

#include "store/store.h"

/* How a commit may end otherwise than asked for. */
enum faulty_commit {
    FAULTY_REFUSED, /* nothing of the pass was committed, and the caller is told so */
    FAULTY_UNSEEN,  /* it was committed, and the caller is told that this is unknown */
    FAULTY_LOST,    /* nothing of it was committed, and the caller is told the same */
};

/* The verbs that find out whether their condition holds. */
enum faulty_verb {
    FAULTY_ADD,
    FAULTY_CHANGE,
    FAULTY_CANCEL,
    FAULTY_FINISH,
    FAULTY_REMOVE_PROFILE,
    FAULTY_VERB_COUNT,
};

/** The n-th commit from now on, of those that have something to commit, ends like this. */
void faulty_order_commit(enum faulty_commit how, int nth);
/** Whether store_resolve() goes on not to know. */
void faulty_stay_silent(bool is_silent);
/** The n-th call of this verb from now on finds its condition broken. */
void faulty_order_stale(enum faulty_verb verb, int nth);
/** Whether an order has yet to be carried out. */
bool faulty_is_waiting(void);
/** Takes back all orders. */
void faulty_reset(void);
