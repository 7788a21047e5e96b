/* SPDX-License-Identifier: MIT */
#include "gateway/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/alloc.h"

#define FILE_MAX (1024 * 1024) /* bytes */

static int file_read_all(int fd, struct buf *data)
{
    ssize_t n = 1;

    while (n > 0 && data->len <= FILE_MAX) {
        n = read(fd, buf_reserve(data, 4096), 4096);
        if (n > 0)
            data->len += (size_t)n;
    }
    return n < 0 ? -errno : data->len > FILE_MAX ? -EFBIG : 0;
}

int file_read(const char *path, bool is_secret, struct buf *ret_data, char **ret_error)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP(buf_deinit) struct buf data = {0};
    struct stat st = {0};
    int r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;

    if (r == 0 && is_secret && st.st_mode & S_IRWXO) {
        *ret_error = xasprintf("%s is open to every user of this machine: chmod 600 it", path);
        return -EPERM;
    }
    if (r == 0)
        r = file_read_all(fd, &data);
    if (r < 0) {
        *ret_error = xasprintf("cannot read %s: %s", path, strerror(-r));
        return r;
    }
    *ret_data = data;
    data = (struct buf){0};
    return 0;
}
