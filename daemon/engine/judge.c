/* SPDX-License-Identifier: MIT */
#include "engine/judge.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "common/strv.h"
#include "run/run_log.h"

#define QUOTE_MAX 500 /* bytes of the program's output quoted in a message */

static size_t judge_skip_blanks(const char *text, size_t len, size_t at)
{
    while (at < len && (text[at] == ' ' || text[at] == '\t'))
        at++;
    return at;
}

/* The last line if it is a JSON object, else NULL, and the reason if it starts like one. */
static char *judge_object_of(struct attempt *attempt, const struct run_end *end, char **ret_why)
{
    const char *line = end->line;
    size_t len = end->line_len, start = judge_skip_blanks(line, len, 0);
    struct json_error error;
    char *text;

    if (len - start >= 3 && memcmp(line + start, "\xef\xbb\xbf", 3) == 0)
        start = judge_skip_blanks(line, len, start + 3);
    if (start < len && line[start] == '}')
        *ret_why = xstrdup("a JSON object must be on one line");
    if (start == len || line[start] != '{')
        return NULL;
    if (end->line_is_over) {
        *ret_why = xasprintf("over %lld bytes", (long long)attempt->engine->settings.input_limit);
        return NULL;
    }
    text = json_doc_compact_text(line + start, len - start, &error);
    if (!text)
        *ret_why = xasprintf("not valid JSON at byte %zu: %s", start + error.offset, error.reason);
    return text;
}

char *judge_result(struct attempt *attempt, struct run *run, const struct run_end *end)
{
    CLEANUP(freep) char *why = NULL, *note = NULL;
    char *object = judge_object_of(attempt, end, &why);
    struct buf result = {0};

    if (object)
        return object;
    if (why) {
        note = xasprintf("the last line of stdout is not used as the result: %s", why);
        run_log_note(run_get_log(run), "acpd", note, strlen(note), NULL, NULL);
        run_log_flush(run_get_log(run));
        attempt_note_growth(attempt);
    }
    json_out_object(&result, NULL);
    json_out_string(&result, "output", end->output ? end->output : "", end->output_len);
    json_out_end_object(&result);
    return buf_take(&result);
}

static enum error_class judge_class_of_status(int status)
{
    switch (status) {
    case EX_OK:
        return ERROR_NONE;
    case EX_TEMPFAIL:
        return ERROR_UNAVAILABLE;
    case EX_NOPERM:
        return ERROR_AUTH;
    case EX_USAGE:
    case EX_DATAERR:
    case EX_CONFIG:
        return ERROR_INVALID;
    default:
        return ERROR_EXIT;
    }
}

/* Whether this error says that the system lacks something: any task would have met it then. */
static bool judge_is_shortage(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

static void judge_end_as(struct attempt *attempt, enum error_class class, char *message)
{
    attempt->class = class;
    attempt->message = message;
}

void judge_keep_tail(struct attempt *attempt, const char *stderr_lines)
{
    if (attempt->class != ERROR_NONE && stderr_lines)
        attempt->tail = xstrdup(stderr_lines);
}

/* Whether a line of stderr explains why the program ended: not one of a stack trace or of Node.js's
 * trailer. */
static bool judge_says_something(const char *line, size_t len)
{
    if ((len > 3 && strncmp(line, "at ", 3) == 0) ||
        (len > 9 && strncmp(line, "Node.js v", 9) == 0))
        return false;
    for (size_t i = 0; i < len; i++)
        if (isalnum((unsigned char)line[i]) || (unsigned char)line[i] >= 0x80)
            return true;
    return false;
}

void judge_add_words(struct attempt *attempt, const char *stderr_lines)
{
    const char *end = stderr_lines ? stderr_lines + strlen(stderr_lines) : NULL;
    char *message = attempt->message;

    while (end && end > stderr_lines) {
        const char *newline = memrchr(stderr_lines, '\n', (size_t)(end - stderr_lines));
        const char *line = newline ? newline + 1 : stderr_lines;
        size_t len;

        line += judge_skip_blanks(line, (size_t)(end - line), 0);
        len = (size_t)(end - line);
        if (judge_says_something(line, len)) {
            attempt->message =
                xasprintf("%s: %.*s", message, (int)(len < QUOTE_MAX ? len : QUOTE_MAX), line);
            free(message);
            return;
        }
        end = newline;
    }
}

char *judge_timeout(const struct attempt *attempt)
{
    return xasprintf("ran longer than its timeout of %g s", (double)attempt->timeout_ms / 1000);
}

void judge_end(struct attempt *attempt, const struct run_end *end)
{
    bool succeeded = end->outcome == RUN_EXITED && end->code == 0;
    bool was_stopped = attempt_was_stopped(attempt);
    const char *colon = end->message ? ": " : "", *more = end->message ? end->message : "";

    if (was_stopped && attempt->stop == ERROR_TIMEOUT) {
        judge_end_as(attempt, ERROR_TIMEOUT, judge_timeout(attempt));
        return;
    }
    /* An attempt that completed while acpd was stopping is complete. */
    if (was_stopped && !succeeded) {
        judge_end_as(attempt, attempt->stop, xstrdup("acpd was stopped"));
        return;
    }
    switch (end->outcome) {
    case RUN_EXITED:
        attempt->class = judge_class_of_status(end->code);
        if (!succeeded)
            attempt->message = xasprintf("exited with status %d%s%s", end->code, colon, more);
        if (!succeeded && !end->message)
            judge_add_words(attempt, end->stderr_lines);
        break;
    case RUN_SIGNALED:
        judge_end_as(attempt, ERROR_SIGNAL,
                     xasprintf("killed by signal %d (%s)%s%s", end->code, strsignal(end->code),
                               colon, more));
        if (!end->message)
            judge_add_words(attempt, end->stderr_lines);
        break;
    case RUN_NOT_STARTED:
        judge_end_as(attempt, ERROR_UNAVAILABLE, xstrdup(more));
        attempt->is_shortage = judge_is_shortage(end->code);
        break;
    case RUN_LOST:
        judge_end_as(attempt, ERROR_INTERRUPTED, xstrdup("its keeper process was killed"));
        break;
    }
}
