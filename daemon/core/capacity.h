/* SPDX-License-Identifier: MIT */
/*
 * How many slots a profile needs: its queue as M/M/c, that is, arrivals at random, durations that
 * vary about as much as they last, c slots that share one queue.
 *
 * With the offered load a = arrival rate * average duration (in Erlangs, the slots that it keeps
 * busy), the part of the tasks that find c slots taken where nobody waits is Erlang's B, and of
 * those that must wait where everybody does is Erlang's C:
 *
 *     B(0) = 1,  B(k) = a B(k-1) / (k + a B(k-1))        C(c) = B(c) / (1 - (a/c) (1 - B(c)))
 *
 * and the mean wait is C(c) * average duration / (c - a). (A. K. Erlang, "Solution of some Problems
 * in the Theory of Probabilities of Significance in Automatic Telephone Exchanges", 1917;
 * L. Kleinrock, "Queueing Systems", volume 1, 1975, section 3.5.) The recursion neither overflows
 * nor loses digits, whatever c.
 */
#pragma once

#include "common/macros.h"

#define CAPACITY_SLOTS_MAX 1000000 /* of a profile */

/** The probability that an arrival finds every slot taken, where it is then lost. */
double capacity_erlang_b(double offered, int64_t slots);
/** The probability that an arrival must wait; 1 once the load is more than the slots can do. */
double capacity_erlang_c(double offered, int64_t slots);
/** The mean wait in the unit of `duration`; INFINITY when the queue grows without bound. */
double capacity_wait(double offered, double duration, int64_t slots);
/** The least number of slots at which the mean wait is at most `target`, at least 1; 0 when
 *  CAPACITY_SLOTS_MAX do not suffice. */
int64_t capacity_slots(double offered, double duration, double target);
