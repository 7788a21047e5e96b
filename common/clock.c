/* SPDX-License-Identifier: MIT */
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return clock_read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_boot_ms(void)
{
    return clock_read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_mono_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}

/* Days since 1970-01-01 of a day in the proleptic Gregorian calendar, and back. Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms". */
static int64_t clock_days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

static void clock_civil_from_days(int64_t z, int64_t *y, int64_t *m, int64_t *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

/* Writes `width` digits of `value` and returns the place behind them. */
static char *clock_put_digits(char *at, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + width;
}

#define MS_PER_DAY INT64_C(86400000)

/* By hand, because every reply prints several and strftime would be its largest cost. */
void clock_format_iso(int64_t wall_ms, char ret_text[CLOCK_ISO_SIZE])
{
    const int64_t first = clock_days_from_civil(0, 1, 1) * MS_PER_DAY;
    const int64_t last = clock_days_from_civil(10000, 1, 1) * MS_PER_DAY - 1;
    int64_t days, ms, y, m, d;
    char *at = ret_text;

    wall_ms = wall_ms < first ? first : wall_ms > last ? last : wall_ms;
    days = wall_ms / MS_PER_DAY;
    ms = wall_ms % MS_PER_DAY;
    if (ms < 0) {
        ms += MS_PER_DAY;
        days--;
    }
    clock_civil_from_days(days, &y, &m, &d);
    at = clock_put_digits(at, y, 4);
    *at++ = '-';
    at = clock_put_digits(at, m, 2);
    *at++ = '-';
    at = clock_put_digits(at, d, 2);
    *at++ = 'T';
    at = clock_put_digits(at, ms / 3600000, 2);
    *at++ = ':';
    at = clock_put_digits(at, ms / 60000 % 60, 2);
    *at++ = ':';
    at = clock_put_digits(at, ms / 1000 % 60, 2);
    *at++ = '.';
    at = clock_put_digits(at, ms % 1000, 3);
    *at++ = 'Z';
    *at = '\0';
}

/* Reads exactly `width` digits. */
static bool clock_take_digits(const char **at, int width, int64_t *ret_value)
{
    int64_t value = 0;

    for (int i = 0; i < width; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (**at - '0');
    }
    *ret_value = value;
    return true;
}

static bool clock_take_char(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool clock_take_zone(const char **at, int64_t *ret_offset_minutes)
{
    int64_t hours, minutes;
    int sign;

    if (clock_take_char(at, 'Z') || clock_take_char(at, 'z')) {
        *ret_offset_minutes = 0;
        return true;
    }
    if (clock_take_char(at, '+'))
        sign = 1;
    else if (clock_take_char(at, '-'))
        sign = -1;
    else
        return false;
    if (!clock_take_digits(at, 2, &hours))
        return false;
    clock_take_char(at, ':');
    if (!clock_take_digits(at, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_offset_minutes = sign * (hours * 60 + minutes);
    return true;
}

static int64_t clock_month_days(int64_t y, int64_t m)
{
    return clock_days_from_civil(m == 12 ? y + 1 : y, m == 12 ? 1 : m + 1, 1) -
           clock_days_from_civil(y, m, 1);
}

int clock_parse_iso(const char *text, int64_t *ret_wall_ms)
{
    int64_t y, m, d, hour, minute, second = 0, ms = 0, offset;
    const char *at = text;

    if (!clock_take_digits(&at, 4, &y) || !clock_take_char(&at, '-') ||
        !clock_take_digits(&at, 2, &m) || !clock_take_char(&at, '-') ||
        !clock_take_digits(&at, 2, &d) || !(*at == 'T' || *at == 't' || *at == ' '))
        return -EINVAL;
    at++;
    if (!clock_take_digits(&at, 2, &hour) || !clock_take_char(&at, ':') ||
        !clock_take_digits(&at, 2, &minute))
        return -EINVAL;
    if (clock_take_char(&at, ':')) {
        if (!clock_take_digits(&at, 2, &second))
            return -EINVAL;
        if (clock_take_char(&at, '.')) {
            int64_t scale = 100, digit;

            if (*at < '0' || *at > '9')
                return -EINVAL;
            for (; *at >= '0' && *at <= '9'; scale /= 10) {
                clock_take_digits(&at, 1, &digit);
                ms += digit * scale;
            }
        }
    }
    if (!clock_take_zone(&at, &offset) || *at)
        return -EINVAL;
    if (m < 1 || m > 12 || d < 1 || d > clock_month_days(y, m) || hour > 23 || minute > 59 ||
        second > 60)
        return -EINVAL;
    *ret_wall_ms = clock_days_from_civil(y, m, d) * MS_PER_DAY +
                   ((hour * 60 + minute - offset) * 60 + second) * 1000 + ms;
    return 0;
}
