/* SPDX-License-Identifier: MIT */
#include "core/task_list.h"

#include "common/alloc.h"

void task_list_deinit(struct task_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        task_deinit(&list->tasks[i]);
    free(list->tasks);
    *list = (struct task_list){0};
}
