/* SPDX-License-Identifier: MIT */
/* What the users of this machine may do through the socket. */
#pragma once

#include <sys/types.h>

#include "common/macros.h"

enum role { ROLE_NONE, ROLE_READ, ROLE_OPERATE };

struct role_entry {
    bool is_everyone; /* everybody without an entry */
    uid_t uid;
    enum role role;
};

struct roles {
    struct role_entry *entries;
    size_t count;
};

void roles_deinit(struct roles *roles);
void roles_add(struct roles *roles, const struct role_entry *entry);
/** The user's role: from its own entry, otherwise from `*`. ROLE_OPERATE if there are no entries,
 * because then only the file's mode decides. */
enum role roles_find(const struct roles *roles, uid_t uid);
/** -EINVAL for an unknown name. */
int role_parse(const char *name, enum role *ret_role);
const char *role_name(enum role role);
