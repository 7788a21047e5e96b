/* SPDX-License-Identifier: MIT */
/* Which tools an agent may use: a policy for each kind of tool in the Agent Client Protocol. */
#pragma once

#include "common/macros.h"

enum permission_policy { PERMISSION_ALLOW, PERMISSION_REJECT, PERMISSION_ASK };

enum tool_kind {
    TOOL_READ,
    TOOL_EDIT,
    TOOL_DELETE,
    TOOL_MOVE,
    TOOL_SEARCH,
    TOOL_EXECUTE,
    TOOL_THINK,
    TOOL_FETCH,
    TOOL_SWITCH_MODE,
    TOOL_OTHER, /* and unknown kinds */
    TOOL_KIND_COUNT,
};

struct permissions {
    enum permission_policy by_kind[TOOL_KIND_COUNT];
};

/** `read` is allowed, everything else is asked. */
struct permissions permissions_default(void);
/** -EINVAL for an unknown name. */
int permission_policy_parse(const char *name, enum permission_policy *ret_policy);
const char *tool_kind_name(enum tool_kind kind);
/** -EINVAL for an unknown name. */
int tool_kind_parse(const char *name, enum tool_kind *ret_kind);
