/* SPDX-License-Identifier: MIT */
/*
 * civetweb and nothing else: answers every GET with the bytes of a file, for comparison with
 * acp-gateway, whose options for threads and connections it has.
 *
 *     bare-http PORT FILE
 */
#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/macros.h"

#define READ_SIZE 65536

static int on_get(struct mg_connection *connection, void *data)
{
    const struct buf *answer = data;

    mg_write(connection, answer->data, answer->len);
    return 200;
}

/* The whole answer, with its header, for one mg_write(). */
static bool read_answer(const char *path, struct buf *ret_answer)
{
    CLEANUP(buf_deinit) struct buf body = {0};
    FILE *file = fopen(path, "re");
    size_t n;

    if (!file)
        return false;
    while ((n = fread(buf_reserve(&body, READ_SIZE), 1, READ_SIZE, file)))
        body.len += n;
    fclose(file);
    buf_printf(ret_answer,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
               "Connection: keep-alive\r\n\r\n",
               body.len);
    buf_add(ret_answer, body.data, body.len);
    return true;
}

int main(int argc, char **argv)
{
    const char *options[] = {"listening_ports",
                             argc > 1 ? argv[1] : "",
                             "num_threads",
                             "600",
                             "tcp_nodelay",
                             "1",
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             "80000",
                             "request_timeout_ms",
                             "3000",
                             NULL};
    struct mg_callbacks callbacks = {0};
    struct buf answer = {0};
    struct mg_context *context;

    if (argc != 3 || !read_answer(argv[2], &answer)) {
        fputs("bare-http PORT FILE\n", stderr);
        return EXIT_FAILURE;
    }
    context = mg_start(&callbacks, NULL, options);
    if (!context)
        return EXIT_FAILURE;
    mg_set_request_handler(context, "/", on_get, &answer);
    pause(); /* until a signal ends it */
    return EXIT_SUCCESS;
}
