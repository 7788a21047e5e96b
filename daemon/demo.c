/* SPDX-License-Identifier: MIT */
/*
 * The demo program: what the built-in profiles run, so that the whole path can be seen without an
 * account. It reads the task, thinks for a second or two, and answers with what it was asked.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/macros.h"

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

int main(void)
{
    static char text[4 * 1024 * 1024];
    size_t len = fread(text, 1, sizeof(text), stdin);
    CLEANUP(json_putp) struct json_object *task = NULL, *answer = NULL;
    struct json_reader *reader = json_reader_new();
    const char *reason, *title, *description;
    size_t offset;
    int r = json_reader_parse(reader, text, len, &task, &reason, &offset);

    json_reader_free(reader);
    if (r < 0 || !json_object_is_type(task, json_type_object)) {
        fputs("acpd-demo: expected a task as one line of JSON on standard input\n", stderr);
        return 64; /* EX_USAGE */
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    title = json_get_string(task, "title");
    description = json_get_string(task, "description");
    printf("This is the demo program that ships with acpd; it only answers with what it was "
           "asked.\n");
    printf("Task %s for profile %s: %s\n", json_get_string(task, "id"),
           json_get_string(task, "profile"), title);
    for (int step = 1; step <= 3; step++) {
        pause_ms(500);
        printf("Thinking, step %d of 3\n", step);
    }
    answer = json_object_new_object();
    json_object_object_add(answer, "demo", json_object_new_boolean(true));
    json_object_object_add(answer, "title", json_object_new_string(title ? title : ""));
    json_object_object_add(answer, "answer",
                           json_object_new_string(description ? description
                                                  : title     ? title
                                                              : ""));
    puts(json_compact(answer));
    return 0;
}
