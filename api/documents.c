/* SPDX-License-Identifier: MIT */
/*
 * api-documents OPENRPC OPENAPI: writes what rpc.discover and GET /api/openapi.json say under the
 * default settings.
 */
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "config/config.h"
#include "gateway/api.h"
#include "rpc/method.h"

static bool holds(const char *path, const struct buf *text)
{
    CLEANUP(freep) char *held = xmalloc(text->len + 1);
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(held, 1, text->len + 1, file) : 0;

    if (file)
        fclose(file);
    return file && len == text->len && memcmp(held, text->data, len) == 0;
}

/* What has not changed stays as old as it is, so that nothing is made from it again. */
static bool write_file(const char *path, const struct buf *text)
{
    bool is_written;
    FILE *file;

    if (holds(path, text))
        return true;
    file = fopen(path, "w");
    is_written = file && fwrite(text->data, 1, text->len, file) == text->len;
    is_written &= file && fclose(file) == 0;
    if (!is_written)
        perror(path);
    return is_written;
}

int main(int argc, char **argv)
{
    CLEANUP(settings_deinit) struct settings settings = {0};
    CLEANUP(buf_deinit) struct buf openrpc = {0}, openapi = {0};
    CLEANUP(json_putp) struct json_object *document = NULL;
    CLEANUP(freep) char *error = NULL;
    const char *reason;
    size_t offset;

    if (argc != 3 || config_load(NULL, "acpd-demo", &settings, &error) < 0)
        return EXIT_FAILURE;
    rpc_print_document(&settings, &openrpc);
    json_parse(openrpc.data, openrpc.len, &document, &reason, &offset);
    openapi_print(document, &openapi);
    buf_add_char(&openrpc, '\n');
    return write_file(argv[1], &openrpc) && write_file(argv[2], &openapi) ? EXIT_SUCCESS
                                                                          : EXIT_FAILURE;
}
