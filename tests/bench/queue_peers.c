/* SPDX-License-Identifier: MIT */
#include "queue_peers.h"

#include <stdlib.h>
#include <string.h>

#include "common/macros.h"

/* ---- replies ---- */

static size_t line_size(const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);

    return end ? (size_t)(end - data) + 1 : 0;
}

/* A line, and as many bytes as its last number says, with CR LF. */
static size_t block_size(const char *data, size_t len, char before_number)
{
    size_t line = line_size(data, len), number = line, total;

    while (number > 0 && data[number - 1] != before_number)
        number--;
    if (!number)
        return line; /* an error, of one line */
    total = line + strtoul(data + number, NULL, 10) + 2;
    return total <= len ? total : 0;
}

static bool starts_with(const char *data, size_t len, const char *text)
{
    return len >= strlen(text) && memcmp(data, text, strlen(text)) == 0;
}

/* Copies what follows `before`, up to one of `ends`. */
static bool copy_after(const char *data, size_t len, const char *before, const char *ends,
                       char ret_text[JOB_TEXT_MAX])
{
    const char *at = memmem(data, len, before, strlen(before)), *end = data + len;
    size_t count = 0;

    if (!at)
        return false;
    for (at += strlen(before); at < end && !strchr(ends, *at) && count < JOB_TEXT_MAX - 1; at++)
        ret_text[count++] = *at;
    ret_text[count] = '\0';
    return count > 0 && at < end && strchr(ends, *at);
}

/* ---- acpd ---- */

static void acpd_call(struct buf *buf, const struct job *job, const char *method)
{
    buf_add_text(buf, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_int(buf, (int64_t)job->call);
    buf_add_text(buf, ",\"method\":\"");
    buf_add_text(buf, method);
    buf_add_text(buf, "\",\"params\":");
}

static void acpd_put(struct buf *buf, const struct job *job)
{
    acpd_call(buf, job, "assign_task_to_profile");
    buf_add_text(buf,
                 "{\"profileName\":\"bench\",\"task\":{\"title\":\"bench\",\"description\":\"");
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\"}}}\n");
}

static bool acpd_take_put(struct job *job UNUSED, const char *data, size_t len)
{
    return memmem(data, len, "\"success\":true", strlen("\"success\":true")) != NULL;
}

static void acpd_claim(struct buf *buf, const struct job *job)
{
    acpd_call(buf, job, "claim_task");
    buf_add_text(buf, "{\"profiles\":[\"bench\"],\"worker\":\"w\"}}\n");
}

static bool acpd_take_claim(struct job *job, const char *data, size_t len)
{
    return copy_after(data, len, "\"task\":{\"id\":", ",}", job->id) &&
           copy_after(data, len, "\"lease\":\"", "\"", job->lease);
}

static void acpd_complete(struct buf *buf, const struct job *job)
{
    acpd_call(buf, job, "complete_task");
    buf_add_text(buf, "{\"id\":");
    buf_add_text(buf, job->id);
    buf_add_text(buf, ",\"lease\":\"");
    buf_add_text(buf, job->lease);
    buf_add_text(buf, "\"}}\n");
}

static bool acpd_take_complete(struct job *job UNUSED, const char *data, size_t len)
{
    static const char completed[] = "\"status\":\"completed\"";

    return memmem(data, len, completed, strlen(completed)) != NULL;
}

/* ---- beanstalkd ---- */

static void beanstalkd_put(struct buf *buf, const struct job *job)
{
    buf_printf(buf, "put 0 0 60 %zu\r\n", job->payload->len);
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\r\n");
}

static bool beanstalkd_take_put(struct job *job UNUSED, const char *data, size_t len)
{
    return starts_with(data, len, "INSERTED ");
}

static void beanstalkd_claim(struct buf *buf, const struct job *job UNUSED)
{
    buf_add_text(buf, "reserve\r\n");
}

static size_t beanstalkd_size_claim(const char *data, size_t len)
{
    return block_size(data, len, ' ');
}

static bool beanstalkd_take_claim(struct job *job, const char *data, size_t len)
{
    return copy_after(data, len, "RESERVED ", " ", job->id);
}

static void beanstalkd_complete(struct buf *buf, const struct job *job)
{
    buf_add_text(buf, "delete ");
    buf_add_text(buf, job->id);
    buf_add_text(buf, "\r\n");
}

static bool beanstalkd_take_complete(struct job *job UNUSED, const char *data, size_t len)
{
    return starts_with(data, len, "DELETED");
}

/* ---- Redis: a list of what waits, and one of what is worked on ---- */

static void redis_put(struct buf *buf, const struct job *job)
{
    buf_printf(buf, "*3\r\n$5\r\nLPUSH\r\n$5\r\nbench\r\n$%zu\r\n", job->payload->len);
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\r\n");
}

static bool redis_take_number(struct job *job UNUSED, const char *data, size_t len)
{
    return len > 1 && data[0] == ':' && data[1] >= '1' && data[1] <= '9';
}

static void redis_claim(struct buf *buf, const struct job *job UNUSED)
{
    buf_add_text(buf,
                 "*5\r\n$5\r\nLMOVE\r\n$5\r\nbench\r\n$4\r\nwork\r\n$5\r\nRIGHT\r\n$4\r\nLEFT\r\n");
}

static size_t redis_size_claim(const char *data, size_t len)
{
    return block_size(data, len, '$');
}

static bool redis_take_claim(struct job *job, const char *data, size_t len)
{
    return data[0] == '$' && len > job->payload->len;
}

/* The payloads are alike, so it finds one at once. */
static void redis_complete(struct buf *buf, const struct job *job)
{
    buf_printf(buf, "*4\r\n$4\r\nLREM\r\n$4\r\nwork\r\n$1\r\n1\r\n$%zu\r\n", job->payload->len);
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\r\n");
}

static const struct peer peers[] = {
    {"acpd",
     {{acpd_put, line_size, acpd_take_put},
      {acpd_claim, line_size, acpd_take_claim},
      {acpd_complete, line_size, acpd_take_complete}}},
    {"beanstalkd",
     {{beanstalkd_put, line_size, beanstalkd_take_put},
      {beanstalkd_claim, beanstalkd_size_claim, beanstalkd_take_claim},
      {beanstalkd_complete, line_size, beanstalkd_take_complete}}},
    {"redis",
     {{redis_put, line_size, redis_take_number},
      {redis_claim, redis_size_claim, redis_take_claim},
      {redis_complete, line_size, redis_take_number}}},
};

const struct peer *peer_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
        if (strcmp(peers[i].name, name) == 0)
            return &peers[i];
    return NULL;
}
