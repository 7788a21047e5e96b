/* SPDX-License-Identifier: MIT */
/* Tasks that come back by the page. */
#pragma once

#include "core/task.h"

/* An array of tasks, as long as was asked for at most. */
struct task_list {
    struct task *tasks;
    size_t count;
};

void task_list_deinit(struct task_list *list);

/* How much a list holds at most: it ends with the task that reaches one of these. */
struct task_page {
    size_t tasks;
    size_t bytes; /* of their texts */
};

/* Which tasks, the newest first. */
struct task_filter {
    int64_t profile_id;      /* 0: any */
    enum task_status status; /* TASK_NEW: any */
    int64_t before;          /* only ids below this; 0: from the newest */
    struct task_page page;
};
