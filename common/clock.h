/* SPDX-License-Identifier: MIT */
/*
 * Time. Points in time are milliseconds since 1970 (wall) or since some fixed point (monotonic),
 * as int64_t; users see ISO 8601 in UTC with milliseconds, and durations in seconds.
 */
#pragma once

#include "common/macros.h"

#define CLOCK_ISO_SIZE 32

int64_t clock_wall_ms(void);
/** Never steps back, and stands still while the machine sleeps (CLOCK_MONOTONIC), as agents do. */
int64_t clock_mono_ms(void);
/** The same, but goes on while the machine sleeps (CLOCK_BOOTTIME), as other machines do. */
int64_t clock_boot_ms(void);
/** clock_mono_ms() in microseconds, for measuring. */
int64_t clock_mono_us(void);

/** "2026-11-22T14:32:10.125Z". Years beyond 0..9999 are clamped. */
void clock_format_iso(int64_t wall_ms, char ret_text[CLOCK_ISO_SIZE]);
/** Reads an ISO 8601 date and time with zone (Z or +hh:mm), seconds and fraction optional.
 *  -EINVAL for anything else. */
int clock_parse_iso(const char *text, int64_t *ret_wall_ms);
