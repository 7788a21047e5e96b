/* SPDX-License-Identifier: MIT */
#include "engine/difference.h"

#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/strv.h"

#define LIST_MAX 100

static int difference_compare_names(const void *a, const void *b)
{
    const struct profile *const *first = a, *const *second = b;

    return strcmp((*first)->config.name, (*second)->config.name);
}

char *difference_describe(struct profile *const *profiles, size_t count)
{
    CLEANUP(freep)
    const struct profile **sorted = xcalloc(count + 1, sizeof(*sorted));
    struct buf out = {0};
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (!profiles[i]->is_removed && profiles[i]->config.digest)
            sorted[n++] = profiles[i];
    qsort(sorted, n, sizeof(*sorted), difference_compare_names);
    for (size_t i = 0; i < n; i++)
        buf_printf(&out, "%s %s\n", sorted[i]->config.name, sorted[i]->config.digest);
    return buf_take(&out);
}

/* The length of the next word; *at moves to the one behind it. Lines end with a word of their own,
 * which is empty. */
static size_t difference_next(const char **at)
{
    size_t len = strcspn(*at, " \n");

    *at += len;
    *at += **at == ' ';
    return len;
}

/* Whether the line has the word; or, up to `=`, its key. */
static bool difference_has(const char *line, const char *word, size_t len)
{
    const char *at = line;

    for (size_t n; (n = difference_next(&line)) > 0; at = line)
        if (n >= len && strncmp(at, word, len) == 0 && (n == len || word[len - 1] == '='))
            return true;
    return false;
}

static void difference_add(char ***list, const char *name, size_t name_len, const char *word)
{
    size_t len = word ? strcspn(word, "=") : 0;

    if (strv_length(*list) < LIST_MAX)
        strv_push(list, xasprintf("%.*s%s%.*s", (int)name_len, name, word ? "." : "", (int)len,
                                  word ? word : ""));
}

/* Adds the settings of a line that the other line has not, or, unless `only_missing`, has with
 * another value. */
static void difference_add_settings(char ***list, const char *line, const char *other,
                                    bool only_missing)
{
    const char *name = line, *word;
    size_t name_len = difference_next(&line), len;

    for (word = line; (len = difference_next(&line)) > 0; word = line)
        if (!difference_has(other, word, only_missing ? strcspn(word, "=") + 1 : len))
            difference_add(list, name, name_len, word);
}

static const char *difference_next_line(const char *line)
{
    line += strcspn(line, "\n");
    return line + (*line == '\n');
}

/* As strcmp() of the names of two lines; the end is behind all of them. */
static int difference_order(const char *a, const char *b)
{
    size_t a_len = strcspn(a, " "), b_len = strcspn(b, " ");
    int r;

    if (!*a || !*b)
        return (*b != 0) - (*a != 0);
    r = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return r ? r : (a_len > b_len) - (a_len < b_len);
}

char **difference_list(const char *ours, const char *theirs)
{
    char **list = NULL;

    while (*ours || *theirs) {
        int order = difference_order(ours, theirs);
        const char *first = order <= 0 ? ours : theirs;

        if (order) {
            difference_add(&list, first, strcspn(first, " "), NULL);
        } else {
            difference_add_settings(&list, ours, theirs, false);
            difference_add_settings(&list, theirs, ours, true);
        }
        if (order <= 0)
            ours = difference_next_line(ours);
        if (order >= 0)
            theirs = difference_next_line(theirs);
    }
    return list;
}
