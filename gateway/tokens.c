/* SPDX-License-Identifier: MIT */
#include "gateway/tokens.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/file.h"
#include "gateway/guesses.h"

#define TOKEN_MIN 16 /* characters */
#define TOKEN_MAX 1024
#define BLANKS    " \t\r"

struct token {
    char *secret;
    size_t line;
    struct token_holder holder;
};

struct token_list {
    struct token *all;
    size_t count;
};

struct tokens {
    char *path;
    pthread_mutex_t lock;
    struct token_list list;
    struct guesses *guesses;
};

static void tokens_list_deinit(struct token_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->all[i].secret);
    free(list->all);
    *list = (struct token_list){0};
}

static bool tokens_is_secret(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] >= 127)
            return false;
    return len >= TOKEN_MIN && len <= TOKEN_MAX;
}

static bool tokens_is_name(const char *text)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    return strchr(first, text[0]) && strlen(text) < TOKEN_NAME_SIZE &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

/* The words of a line, which it cuts up. Returns the error, or NULL; a line without words leaves
 * the secret NULL. The file's bytes are not repeated: they are secret. */
static const char *tokens_parse_line(char *line, struct token *ret_token)
{
    char *rest = line, *secret = strtok_r(line, BLANKS, &rest);
    const char *name = strtok_r(NULL, BLANKS, &rest), *role = strtok_r(NULL, BLANKS, &rest);

    if (!secret || secret[0] == '#')
        return NULL;
    if (!tokens_is_secret(secret))
        return "a token has 16 to 1024 printable characters";
    if (name && !tokens_is_name(name))
        return "a name has 1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first of a-z or "
               "0-9";
    if (role && strcmp(role, "read") != 0 && strcmp(role, "operate") != 0)
        return "the role of a token is read or operate";
    if (strtok_r(NULL, BLANKS, &rest))
        return "a line has only a token, its name and its role";
    ret_token->secret = secret;
    ret_token->holder.may_write = !role || strcmp(role, "operate") == 0;
    strcpy(ret_token->holder.name, name ? name : "token");
    return NULL;
}

static const struct token *tokens_find_equal(const struct token_list *list, const char *secret)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->all[i].secret, secret) == 0)
            return &list->all[i];
    return NULL;
}

static int tokens_parse(const char *path, char *text, struct token_list *ret_list, char **ret_error)
{
    CLEANUP(tokens_list_deinit) struct token_list list = {0};
    char *line;

    for (size_t number = 1; (line = strsep(&text, "\n")); number++) {
        struct token token = {.line = number};
        const char *fault = tokens_parse_line(line, &token);
        const struct token *equal;

        if (fault) {
            *ret_error = xasprintf("%s:%zu: %s", path, number, fault);
            return -EINVAL;
        }
        if (!token.secret)
            continue;
        equal = tokens_find_equal(&list, token.secret);
        if (equal) {
            *ret_error =
                xasprintf("%s:%zu: duplicate of the token in line %zu", path, number, equal->line);
            return -EINVAL;
        }
        token.secret = xstrdup(token.secret);
        list.all = xrealloc(list.all, (list.count + 1) * sizeof(*list.all));
        list.all[list.count++] = token;
    }
    if (!list.count) {
        *ret_error = xasprintf("%s contains no token", path);
        return -EINVAL;
    }
    *ret_list = list;
    list = (struct token_list){0};
    return 0;
}

static int tokens_load(const char *path, struct token_list *ret_list, char **ret_error)
{
    CLEANUP(buf_deinit) struct buf data = {0};
    CLEANUP(freep) char *text = NULL;
    int r = file_read(path, true, &data, ret_error);

    if (r < 0)
        return r;
    if (memchr(data.data, '\0', data.len)) {
        *ret_error = xasprintf("%s is not a text file: it contains a zero byte", path);
        return -EINVAL;
    }
    text = buf_take(&data);
    return tokens_parse(path, text, ret_list, ret_error);
}

int tokens_new(const char *path, struct tokens **ret_tokens, char **ret_error)
{
    struct token_list list;
    struct tokens *tokens;
    int r = tokens_load(path, &list, ret_error);

    if (r < 0)
        return r;
    tokens = xcalloc(1, sizeof(*tokens));
    tokens->path = xstrdup(path);
    pthread_mutex_init(&tokens->lock, NULL);
    tokens->list = list;
    tokens->guesses = guesses_new();
    *ret_tokens = tokens;
    return 0;
}

void tokens_free(struct tokens *tokens)
{
    if (!tokens)
        return;
    guesses_free(tokens->guesses);
    tokens_list_deinit(&tokens->list);
    pthread_mutex_destroy(&tokens->lock);
    free(tokens->path);
    free(tokens);
}

int tokens_reload(struct tokens *tokens, char **ret_error)
{
    struct token_list list, old;
    int r = tokens_load(tokens->path, &list, ret_error);

    if (r < 0)
        return r;
    pthread_mutex_lock(&tokens->lock);
    old = tokens->list;
    tokens->list = list;
    pthread_mutex_unlock(&tokens->lock);
    tokens_list_deinit(&old);
    return 0;
}

/* In constant time. */
static bool tokens_is_equal(const char *given, const char *wanted)
{
    size_t len = strlen(wanted), given_len = strlen(given);
    unsigned char difference = (unsigned char)(given_len != len);

    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(given[i < given_len ? i : 0] ^ wanted[i]);
    return !difference;
}

/* Always compares all of them. */
static const struct token *tokens_find(const struct token_list *list, const char *given)
{
    const struct token *found = NULL;

    for (size_t i = 0; i < list->count; i++)
        if (tokens_is_equal(given, list->all[i].secret))
            found = &list->all[i];
    return found;
}

int tokens_check(struct tokens *tokens, const char *given, const char *address,
                 struct token_holder *ret_holder, int *ret_wait)
{
    const struct token *token;
    bool is_news = false;
    int wait = 0;

    pthread_mutex_lock(&tokens->lock);
    token = given ? tokens_find(&tokens->list, given) : NULL;
    if (token)
        *ret_holder = token->holder;
    else
        wait = guesses_note(tokens->guesses, address, given, clock_mono_ms(), &is_news);
    pthread_mutex_unlock(&tokens->lock);
    if (token)
        return 0;
    if (is_news)
        log_warning("refused a wrong token from %s; more of them this minute are not logged",
                    address);
    *ret_wait = wait;
    return wait ? TOKEN_THROTTLED : TOKEN_REFUSED;
}
