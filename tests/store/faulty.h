/* SPDX-License-Identifier: MIT */
/*
 * A store that fails when it is told to. It stands before a real one: the program is linked with
 * --wrap for each verb that writes (meson.build has the list), and what nobody has ordered goes
 * through as it is.
 */
#pragma once

#include "store/store.h"

/* How a commit may end otherwise than asked for. */
enum faulty_commit {
    FAULTY_REFUSED, /* nothing of the pass was committed, and the caller is told so */
};

/* The verbs that find out whether their condition holds. */
enum faulty_verb { FAULTY_CHANGE, FAULTY_CANCEL, FAULTY_FINISH, FAULTY_VERB_COUNT };

/** The n-th commit from now on, of those that have something to commit, ends like this. */
void faulty_order_commit(enum faulty_commit how, int nth);
/** The n-th call of this verb from now on finds its condition broken. */
void faulty_order_stale(enum faulty_verb verb, int nth);
/** Whether an order has yet to be carried out. */
bool faulty_is_waiting(void);
/** Takes back all orders. */
void faulty_reset(void);
