/* SPDX-License-Identifier: MIT */
#include "core/role.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"

static const char *const names[] = {
    [ROLE_NONE] = "none",
    [ROLE_READ] = "read",
    [ROLE_OPERATE] = "operate",
};

void roles_deinit(struct roles *roles)
{
    free(roles->entries);
    *roles = (struct roles){0};
}

void roles_add(struct roles *roles, const struct role_entry *entry)
{
    roles->entries = xrealloc(roles->entries, (roles->count + 1) * sizeof(*roles->entries));
    roles->entries[roles->count++] = *entry;
}

enum role roles_find(const struct roles *roles, uid_t uid)
{
    enum role everyone = roles->count ? ROLE_NONE : ROLE_OPERATE;

    for (size_t i = 0; i < roles->count; i++) {
        const struct role_entry *entry = &roles->entries[i];

        if (entry->is_everyone)
            everyone = entry->role;
        else if (entry->uid == uid)
            return entry->role;
    }
    return everyone;
}

int role_parse(const char *name, enum role *ret_role)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_role = (enum role)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *role_name(enum role role)
{
    return names[role];
}
