/* SPDX-License-Identifier: MIT */
#include "core/agent_error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    int64_t status;
    enum error_class class;
    const char *reason; /* its phrase, which may follow it */
} statuses[] = {
    {401, ERROR_AUTH, "unauthorized"},
    {402, ERROR_RATE_LIMIT, "payment required"},
    {403, ERROR_AUTH, "forbidden"},
    {429, ERROR_RATE_LIMIT, "too many requests"},
    {502, ERROR_UNAVAILABLE, "bad gateway"},
    {503, ERROR_UNAVAILABLE, "service unavailable"},
    {504, ERROR_UNAVAILABLE, "gateway timeout"},
    {529, ERROR_UNAVAILABLE, "overloaded"},
};

/* Anthropic, OpenAI, Google; Codex names its errors in camel case. */
static const struct {
    const char *name;
    enum error_class class;
} names[] = {
    {"rate_limit_error", ERROR_RATE_LIMIT},
    {"rate_limit_exceeded", ERROR_RATE_LIMIT},
    {"insufficient_quota", ERROR_RATE_LIMIT},
    {"quota_exceeded", ERROR_RATE_LIMIT},
    {"billing_error", ERROR_RATE_LIMIT},
    {"RESOURCE_EXHAUSTED", ERROR_RATE_LIMIT},
    {"usageLimitExceeded", ERROR_RATE_LIMIT},
    {"overloaded_error", ERROR_UNAVAILABLE},
    {"serverOverloaded", ERROR_UNAVAILABLE},
    {"UNAVAILABLE", ERROR_UNAVAILABLE},
    {"authentication_error", ERROR_AUTH},
    {"permission_error", ERROR_AUTH},
    {"invalid_api_key", ERROR_AUTH},
    {"auth_required", ERROR_AUTH},
    {"UNAUTHENTICATED", ERROR_AUTH},
    {"PERMISSION_DENIED", ERROR_AUTH},
    {"unauthorized", ERROR_AUTH},
};

/* The first row that is found decides. */
static const struct {
    const char *words;
    enum error_class class;
    bool only_about_login; /* too common to decide by themselves */
} phrases[] = {
    {"disk quota", ERROR_EXIT, false},
    {"edquot", ERROR_EXIT, false},
    {"resource temporarily unavailable", ERROR_EXIT, false}, /* EAGAIN */
    {"session not found", ERROR_EXIT, false},
    {"rate limit", ERROR_RATE_LIMIT, false},
    {"rate limits", ERROR_RATE_LIMIT, false},
    {"rate limited", ERROR_RATE_LIMIT, false},
    {"rate limiting", ERROR_RATE_LIMIT, false},
    {"rate-limit", ERROR_RATE_LIMIT, false},
    {"rate-limited", ERROR_RATE_LIMIT, false},
    {"usage limit", ERROR_RATE_LIMIT, false},
    {"usage limits", ERROR_RATE_LIMIT, false},
    {"too many requests", ERROR_RATE_LIMIT, false},
    {"quota exceeded", ERROR_RATE_LIMIT, false},
    {"exceeded your quota", ERROR_RATE_LIMIT, false},
    {"exceeded your current quota", ERROR_RATE_LIMIT, false},
    {"out of quota", ERROR_RATE_LIMIT, false},
    {"insufficient credits", ERROR_RATE_LIMIT, false},
    {"credit balance is too low", ERROR_RATE_LIMIT, false},
    {"overloaded", ERROR_UNAVAILABLE, false},
    {"service unavailable", ERROR_UNAVAILABLE, false},
    {"temporarily unavailable", ERROR_UNAVAILABLE, false},
    {"bad gateway", ERROR_UNAVAILABLE, false},
    {"authentication required", ERROR_AUTH, false},
    {"authentication failed", ERROR_AUTH, false},
    {"unauthorized", ERROR_AUTH, false},
    {"unauthenticated", ERROR_AUTH, false},
    {"not logged in", ERROR_AUTH, false},
    {"login required", ERROR_AUTH, false},
    {"please log in", ERROR_AUTH, false},
    {"please login", ERROR_AUTH, false},
    {"run /login", ERROR_AUTH, false},
    {"invalid api key", ERROR_AUTH, false},
    {"invalid x-api-key", ERROR_AUTH, false},
    {"incorrect api key", ERROR_AUTH, false},
    {"api key not valid", ERROR_AUTH, false},
    {"missing api key", ERROR_AUTH, false},
    {"token has expired", ERROR_AUTH, false},
    {"auth required", ERROR_AUTH, false},
    {"log in", ERROR_AUTH, true},
    {"login", ERROR_AUTH, true},
    {"logged in", ERROR_AUTH, true},
    {"sign in", ERROR_AUTH, true},
    {"authenticate", ERROR_AUTH, true},
    {"authentication", ERROR_AUTH, true},
    {"credentials", ERROR_AUTH, true},
    {"api key", ERROR_AUTH, true},
    {"auth", ERROR_AUTH, true},
};

enum error_class agent_error_of_status(int64_t status)
{
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].class;
    return ERROR_NONE;
}

enum error_class agent_error_of_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcasecmp(names[i].name, name) == 0)
            return names[i].class;
    return ERROR_NONE;
}

static bool is_in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* The phrase as whole words. */
static bool has_phrase(const char *text, const char *phrase)
{
    size_t len = strlen(phrase);

    for (const char *at = text; (at = strcasestr(at, phrase)); at++)
        if ((at == text || !is_in_word(at[-1])) && !is_in_word(at[len]))
            return true;
    return false;
}

static bool parts_words(char c)
{
    return c && strchr(" \t\n:=\"'(),[]{}", c);
}

/* Whether `text` up to `end` ends with the word, parting characters aside. */
static bool ends_with(const char *text, const char *end, const char *word)
{
    size_t len = strlen(word);

    while (end > text && parts_words(end[-1]))
        end--;
    return (size_t)(end - text) >= len && strncasecmp(end - len, word, len) == 0 &&
           ((size_t)(end - text) == len || !is_in_word(end[-(ptrdiff_t)len - 1]));
}

/* Whether the number at `at` is told as a status. */
static bool is_told_as_status(const char *text, const char *at, const char *reason)
{
    static const char *const before[] = {"http",      "http/1.1",    "http/2",     "http error",
                                         "status",    "status code", "statuscode", "status_code",
                                         "api error", "error code"};
    const char *after = at + 3;

    for (size_t i = 0; i < ARRAY_SIZE(before); i++)
        if (ends_with(text, at, before[i]))
            return true;
    while (parts_words(*after))
        after++;
    return strncasecmp(after, reason, strlen(reason)) == 0 || strncasecmp(after, "status", 6) == 0;
}

static enum error_class of_told_status(const char *text)
{
    for (const char *at = text; *at;) {
        size_t digits = strspn(at, "0123456789");

        for (size_t i = 0; digits == 3 && i < ARRAY_SIZE(statuses); i++)
            if (strtol(at, NULL, 10) == statuses[i].status &&
                (at == text || (!is_in_word(at[-1]) && !strchr(".-", at[-1]))) &&
                !is_in_word(at[3]) && is_told_as_status(text, at, statuses[i].reason))
                return statuses[i].class;
        at += digits ? digits : 1;
    }
    return ERROR_NONE;
}

enum error_class agent_error_of_words(const char *text, bool is_about_login)
{
    enum error_class class = of_told_status(text);

    for (size_t i = 0; class == ERROR_NONE && i < ARRAY_SIZE(phrases); i++)
        if ((is_about_login || !phrases[i].only_about_login) && has_phrase(text, phrases[i].words))
            class = phrases[i].class;
    return class;
}
