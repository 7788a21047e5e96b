/* SPDX-License-Identifier: MIT */
#include "core/permission.h"

#include <errno.h>
#include <string.h>

static const char *const policy_names[] = {
    [PERMISSION_ALLOW] = "allow",
    [PERMISSION_REJECT] = "reject",
    [PERMISSION_ASK] = "ask",
};

static const char *const kind_names[TOOL_KIND_COUNT] = {
    [TOOL_READ] = "read",     [TOOL_EDIT] = "edit",
    [TOOL_DELETE] = "delete", [TOOL_MOVE] = "move",
    [TOOL_SEARCH] = "search", [TOOL_EXECUTE] = "execute",
    [TOOL_THINK] = "think",   [TOOL_FETCH] = "fetch",
    [TOOL_OTHER] = "other",   [TOOL_SWITCH_MODE] = "switch_mode",
};

struct permissions permissions_default(void)
{
    struct permissions permissions;

    for (int kind = 0; kind < TOOL_KIND_COUNT; kind++)
        permissions.by_kind[kind] = kind == TOOL_READ ? PERMISSION_ALLOW : PERMISSION_ASK;
    return permissions;
}

const char *tool_kind_name(enum tool_kind kind)
{
    return kind_names[kind];
}

static int permission_find(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -EINVAL;
}

int permission_policy_parse(const char *name, enum permission_policy *ret_policy)
{
    int found = permission_find(policy_names, (int)ARRAY_SIZE(policy_names), name);

    if (found < 0)
        return found;
    *ret_policy = (enum permission_policy)found;
    return 0;
}

int tool_kind_parse(const char *name, enum tool_kind *ret_kind)
{
    int found = permission_find(kind_names, TOOL_KIND_COUNT, name);

    if (found < 0)
        return found;
    *ret_kind = (enum tool_kind)found;
    return 0;
}
