/* SPDX-License-Identifier: MIT */
/* Faults put into acpd on purpose, one at a time, which a simulation must find. */
#pragma once

#include <stddef.h>

/** NULL: there is no such number. */
const char *faults_name(size_t number);
/** The number of a fault; one that is none if there is no such name. */
size_t faults_find(const char *name);
/** From now on acpd has it. */
void faults_put_in(size_t number);
