/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/alloc.h"
#include "core/word.h"

char *node_name(const struct settings *settings)
{
    char host[WORD_MAX + 1] = "";
    size_t len;

    if (settings->node.name)
        return xstrdup(settings->node.name);
    (void)gethostname(host, sizeof(host) - 1);
    for (len = 0; host[len]; len++)
        host[len] = (char)tolower((unsigned char)host[len]);
    return xstrdup(word_is_valid(host) ? host : "acpd");
}

char *node_place(const char *state_dir)
{
    CLEANUP(freep) char *path = xasprintf("%s/place", state_dir);
    CLEANUP(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    char text[33] = "", host[256] = "";
    unsigned char random[16];

    (void)gethostname(host, sizeof(host) - 1);
    if (fd < 0)
        return NULL;
    if (read(fd, text, 32) != 32) {
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return NULL;
        for (size_t i = 0; i < sizeof(random); i++)
            snprintf(text + 2 * i, 3, "%02x", random[i]);
        if (pwrite(fd, text, 32, 0) != 32)
            return NULL;
    }
    return xasprintf("%s@%s", text, host);
}
