/* SPDX-License-Identifier: MIT */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/utf8.h"

static const struct {
    const char *name;
    char priority; /* of syslog */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", '3'},
    [LOG_LEVEL_WARNING] = {"warning", '4'},
    [LOG_LEVEL_INFO] = {"info", '6'},
    [LOG_LEVEL_DEBUG] = {"debug", '7'},
};

static const char *log_program = "acpd";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_to_journal;

int log_level_parse(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void log_setup(const char *program, enum log_level level)
{
    log_program = program;
    log_max = level;
    log_to_journal = getenv("JOURNAL_STREAM") != NULL;
}

/* A message may quote untrusted input, so it is kept to one line of text. */
static void log_make_printable(char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t width = c < 0x80 ? 1 : utf8_width(text + i, len - i);

        if (c < ' ' || c == 0x7f || !width)
            text[i] = '?';
        i += width ? width : 1;
    }
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[2048];
    va_list args;
    size_t len;
    int n;

    if (level > log_max)
        return;
    if (log_to_journal) {
        n = snprintf(line, sizeof(line), "<%c>", levels[level].priority);
    } else {
        char at[CLOCK_ISO_SIZE];

        clock_format_iso(clock_wall_ms(), at);
        n = snprintf(line, sizeof(line), "%s %s %s: ", at, log_program, levels[level].name);
    }
    len = (size_t)n;
    va_start(args, format);
    n = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
    va_end(args);
    if (n > 0)
        len += (size_t)n;
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    log_make_printable(line, len);
    line[len++] = '\n';
    /* One write per line, so that lines of several processes never mix. A log that cannot be
     * written must not stop the work. */
    if (write(STDERR_FILENO, line, len) < 0)
        return;
}
