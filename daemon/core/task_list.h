/* SPDX-License-Identifier: MIT */
/* Pages of tasks. */
#pragma once

#include "core/task.h"

/* An array of tasks, up to the requested number. */
struct task_list {
    struct task *tasks;
    size_t count;
};

void task_list_deinit(struct task_list *list);

/* Limits of a list: it ends with the task that reaches one of them. */
struct task_page {
    size_t tasks;
    size_t bytes; /* of their texts */
};

/* A filter for tasks; the newest come first. */
struct task_filter {
    int64_t profile_id;      /* 0: any */
    enum task_status status; /* TASK_NEW: any */
    int64_t before;          /* only ids below this; 0: from the newest */
    struct task_page page;
};
