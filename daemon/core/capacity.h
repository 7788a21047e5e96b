/* SPDX-License-Identifier: MIT */
/*
 * How many slots a profile needs: its queue modelled as M/M/c, that is, random arrivals,
 * exponential durations and c slots that share one queue.
 *
 * With the offered load a = arrival rate * average duration (in Erlangs, the number of busy slots),
 * Erlang's B is the share of tasks that find all c slots taken if none can wait, and Erlang's C the
 * share that must wait if all can:
 *
 *     B(0) = 1,  B(k) = a B(k-1) / (k + a B(k-1))        C(c) = B(c) / (1 - (a/c) (1 - B(c)))
 *
 * and the mean wait is C(c) * average duration / (c - a). (A. K. Erlang, "Solution of some Problems
 * in the Theory of Probabilities of Significance in Automatic Telephone Exchanges", 1917; L.
 * Kleinrock, "Queueing Systems", volume 1, 1975, section 3.5.) The recursion neither overflows nor
 * loses precision for any c.
 */
#pragma once

#include "common/macros.h"

#define CAPACITY_SLOTS_MAX 1000000 /* of a profile */

/** The probability that an arrival finds every slot taken and is lost. */
double capacity_erlang_b(double offered, int64_t slots);
/** The probability that an arrival must wait; 1 if the load exceeds the slots. */
double capacity_erlang_c(double offered, int64_t slots);
/** The mean wait in the unit of `duration`; INFINITY if the queue grows without bound. */
double capacity_wait(double offered, double duration, int64_t slots);
/** The smallest number of slots with a mean wait of at most `target`, at least 1; 0 if
 *  CAPACITY_SLOTS_MAX are not enough. */
int64_t capacity_slots(double offered, double duration, double target);
