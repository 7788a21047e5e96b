/* SPDX-License-Identifier: MIT */
#include "gateway/assets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/alloc.h"

#define FILE_MAX  (16 * 1024 * 1024) /* bytes */
#define FILES_MAX 1000

struct asset {
    char *path; /* "/assets/x.js" */
    struct buf data;
    char etag[24];
};

struct assets {
    struct asset *files;
    size_t count;
};

/* Paths of the single page; "/tasks/" includes those below it. */
static const char *const pages[] = {"/profiles", "/profile-analytics", "/tasks", "/tasks/",
                                    "/permissions"};

static bool assets_is_page(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        size_t len = strlen(pages[i]);

        if (strcmp(path, pages[i]) == 0 ||
            (pages[i][len - 1] == '/' && strncmp(path, pages[i], len) == 0))
            return true;
    }
    return strcmp(path, "/") == 0;
}

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".json", "application/json"},
    {".txt", "text/plain; charset=utf-8"},
};

static bool assets_has_suffix(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);

    return len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static const char *assets_type_of(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (assets_has_suffix(path, types[i].suffix))
            return types[i].type;
    return "application/octet-stream";
}

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t assets_hash(const struct buf *data)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < data->len; i++)
        h = (h ^ (unsigned char)data->data[i]) * UINT64_C(0x100000001b3);
    return h;
}

static int assets_read_asset(int folder, const char *name, const char *path, struct assets *assets)
{
    CLEANUP(closep) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    struct asset *asset;
    ssize_t n = 1;

    assets->files = xrealloc(assets->files, (assets->count + 1) * sizeof(*assets->files));
    asset = &assets->files[assets->count++];
    *asset = (struct asset){.path = xstrdup(path)};
    if (fd < 0)
        return -errno;
    while (n > 0 && asset->data.len <= FILE_MAX) {
        n = read(fd, buf_reserve(&asset->data, 65536), 65536);
        if (n > 0)
            asset->data.len += (size_t)n;
    }
    if (n < 0)
        return -errno;
    snprintf(asset->etag, sizeof(asset->etag), "\"%016llx\"",
             (unsigned long long)assets_hash(&asset->data));
    return asset->data.len > FILE_MAX ? -EFBIG : 0;
}

static void assets_closedirp(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

static int assets_load_folder(int fd, const char *prefix, struct assets *assets)
{
    CLEANUP(assets_closedirp) DIR *folder = fdopendir(fd);
    struct dirent *entry;

    if (!folder) {
        int r = -errno;

        close(fd);
        return r;
    }
    while ((entry = readdir(folder))) {
        CLEANUP(freep) char *path = NULL;
        struct stat st;
        int r = 0, inner;

        if (entry->d_name[0] == '.')
            continue;
        path = xasprintf("%s/%s", prefix, entry->d_name);
        if (fstatat(dirfd(folder), entry->d_name, &st, 0) < 0)
            return -errno;
        if (S_ISDIR(st.st_mode)) {
            inner = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            r = inner < 0 ? -errno : assets_load_folder(inner, path, assets);
        } else if (S_ISREG(st.st_mode)) {
            if (assets->count == FILES_MAX)
                return -EMFILE;
            r = assets_read_asset(dirfd(folder), entry->d_name, path, assets);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct asset *assets_find(const struct assets *assets, const char *path)
{
    for (size_t i = 0; i < assets->count; i++)
        if (strcmp(assets->files[i].path, path) == 0)
            return &assets->files[i];
    return NULL;
}

int assets_load(const char *folder, struct assets **ret_assets, char **ret_error)
{
    struct assets *assets = xcalloc(1, sizeof(*assets));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : assets_load_folder(fd, "", assets);

    if (r == 0 && !assets_find(assets, "/index.html"))
        r = -ENOENT;
    if (r < 0) {
        *ret_error = xasprintf("cannot read the dashboard from %s: %s", folder, strerror(-r));
        assets_free(assets);
        return r;
    }
    *ret_assets = assets;
    return 0;
}

void assets_free(struct assets *assets)
{
    if (!assets)
        return;
    for (size_t i = 0; i < assets->count; i++) {
        free(assets->files[i].path);
        buf_deinit(&assets->files[i].data);
    }
    free(assets->files);
    free(assets);
}

/* A list of entity tags, or "*". */
static bool assets_has_etag(const char *list, const char *etag)
{
    return list && (strcmp(list, "*") == 0 || strstr(list, etag));
}

/* Whether the list has gzip with a weight other than 0 (RFC 9110, section 12.5.3). */
static bool assets_takes_gzip(const char *accepted)
{
    while (accepted && *accepted) {
        size_t len = strcspn(accepted, ",");
        size_t blank = strspn(accepted, " \t");
        const char *weight = memmem(accepted, len, "q=", 2);

        if (strncasecmp(accepted + blank, "gzip", 4) == 0 &&
            strchr(" \t;,", accepted[blank + 4]) /* or the end */)
            return !weight || strtod(weight + 2, NULL) > 0;
        accepted += len + (accepted[len] == ',');
    }
    return false;
}

static int assets_reply_asset(struct mg_connection *connection, const struct assets *assets,
                              const struct asset *asset)
{
    CLEANUP(freep) char *packed_path = xasprintf("%s.gz", asset->path);
    const struct asset *packed = assets_find(assets, packed_path), *sent = asset;
    const char *accepted = mg_get_header(connection, "Accept-Encoding");
    /* Names below /assets/ contain a hash of the content; other files may change at any time. */
    bool is_hashed = strncmp(asset->path, "/assets/", 8) == 0;
    char headers[256];

    if (packed && assets_takes_gzip(accepted))
        sent = packed;
    snprintf(headers, sizeof(headers), "ETag: %s\r\nCache-Control: %s\r\n%s%s", sent->etag,
             is_hashed ? "public, max-age=31536000, immutable" : "no-cache",
             packed ? "Vary: Accept-Encoding\r\n" : "",
             sent == packed ? "Content-Encoding: gzip\r\n" : "");
    if (assets_has_etag(mg_get_header(connection, "If-None-Match"), sent->etag))
        return http_reply(connection, 304, NULL, headers, NULL, 0);
    return http_reply(connection, 200, assets_type_of(asset->path), headers, sent->data.data,
                      sent->data.len);
}

int assets_handle(struct mg_connection *connection, const struct assets *assets, const char *path)
{
    static const char allow[] = "Allow: GET, HEAD, OPTIONS\r\n";
    const char *verb = mg_get_request_info(connection)->request_method;
    const struct asset *asset;

    asset = assets_find(assets, assets_is_page(path) ? "/index.html" : path);
    if (!asset)
        return http_error(connection, 404, RPC_METHOD_NOT_FOUND, NULL, NULL, "%.200s not found",
                          path);
    if (strcmp(verb, "OPTIONS") == 0)
        return http_reply(connection, 204, NULL, allow, NULL, 0);
    if (strcmp(verb, "GET") != 0 && strcmp(verb, "HEAD") != 0)
        return http_error(connection, 405, RPC_METHOD_NOT_FOUND, allow, NULL,
                          "%s is not allowed on this path", verb);
    if (strcmp(path, "/") == 0)
        return http_reply(connection, 302, NULL,
                          "Location: /profiles\r\nCache-Control: no-cache\r\n", NULL, 0);
    return assets_reply_asset(connection, assets, asset);
}
