/* SPDX-License-Identifier: MIT */
/* SQLite: a place is a file in its own folder. */
#include "engine.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "store/sqlite_files.h"

static char *create(void)
{
    char folder[] = "/tmp/acpd-store-XXXXXX";

    return mkdtemp(folder) ? xasprintf("%s/acpd.db", folder) : NULL;
}

static int verify(const char *place, char **ret_error)
{
    CLEANUP(freep) char *info = NULL;

    return sqlite_files_verify(place, &info, ret_error);
}

static void destroy(char *place)
{
    CLEANUP(freep) char *command = NULL;

    *strrchr(place, '/') = '\0';
    command = xasprintf("rm -r '%s'", place);
    if (system(command) != 0)
        fprintf(stderr, "%s is left\n", place);
    free(place);
}

const struct test_engine engine = {
    .name = "SQLite",
    .create = create,
    .open = store_open,
    .close = store_close,
    .verify = verify,
    .destroy = destroy,
};
