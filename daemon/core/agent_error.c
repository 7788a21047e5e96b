/* SPDX-License-Identifier: MIT */
#include "core/agent_error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    int64_t status;
    enum error_class class;
    const char *reason; /* the phrase that may follow it */
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

/* ALONE and ABOUT_LOGIN: phrases too common to decide anywhere in a text. */
enum where { ANYWHERE, ALONE /* the whole text */, ABOUT_LOGIN };

/* The first match decides. */
static const struct {
    const char *words;
    enum error_class class;
    enum where where;
} phrases[] = {
    {"disk quota", ERROR_EXIT, ANYWHERE},
    {"edquot", ERROR_EXIT, ANYWHERE},
    {"resource temporarily unavailable", ERROR_EXIT, ANYWHERE}, /* EAGAIN */
    {"session not found", ERROR_EXIT, ANYWHERE},
    {"rate limit", ERROR_RATE_LIMIT, ANYWHERE},
    {"rate limits", ERROR_RATE_LIMIT, ANYWHERE},
    {"rate limited", ERROR_RATE_LIMIT, ANYWHERE},
    {"rate limiting", ERROR_RATE_LIMIT, ANYWHERE},
    {"rate-limit", ERROR_RATE_LIMIT, ANYWHERE},
    {"rate-limited", ERROR_RATE_LIMIT, ANYWHERE},
    {"ratelimit exceeded", ERROR_RATE_LIMIT, ANYWHERE},
    {"usage limit", ERROR_RATE_LIMIT, ANYWHERE},
    {"usage limits", ERROR_RATE_LIMIT, ANYWHERE},
    {"hit your limit", ERROR_RATE_LIMIT, ANYWHERE},
    {"too many requests", ERROR_RATE_LIMIT, ANYWHERE},
    {"quota exceeded for", ERROR_RATE_LIMIT, ANYWHERE},
    {"exceeded your quota", ERROR_RATE_LIMIT, ANYWHERE},
    {"exceeded your current quota", ERROR_RATE_LIMIT, ANYWHERE},
    {"exhausted your daily quota", ERROR_RATE_LIMIT, ANYWHERE},
    {"exhausted your quota", ERROR_RATE_LIMIT, ANYWHERE},
    {"resource has been exhausted", ERROR_RATE_LIMIT, ANYWHERE},
    {"insufficient credits", ERROR_RATE_LIMIT, ANYWHERE},
    {"credit balance is too low", ERROR_RATE_LIMIT, ANYWHERE},
    {"model is overloaded", ERROR_UNAVAILABLE, ANYWHERE},
    {"server is overloaded", ERROR_UNAVAILABLE, ANYWHERE},
    {"service is overloaded", ERROR_UNAVAILABLE, ANYWHERE},
    {"currently overloaded", ERROR_UNAVAILABLE, ANYWHERE},
    {"temporarily overloaded", ERROR_UNAVAILABLE, ANYWHERE},
    {"overloaded", ERROR_UNAVAILABLE, ALONE},
    {"service unavailable", ERROR_UNAVAILABLE, ANYWHERE},
    {"temporarily unavailable", ERROR_UNAVAILABLE, ANYWHERE},
    {"authentication required", ERROR_AUTH, ANYWHERE},
    {"unauthorized", ERROR_AUTH, ALONE},
    {"unauthenticated", ERROR_AUTH, ALONE},
    {"not logged in", ERROR_AUTH, ANYWHERE},
    {"login required", ERROR_AUTH, ANYWHERE},
    {"please log in", ERROR_AUTH, ANYWHERE},
    {"please login", ERROR_AUTH, ANYWHERE},
    {"run /login", ERROR_AUTH, ANYWHERE},
    {"invalid api key", ERROR_AUTH, ANYWHERE},
    {"invalid x-api-key", ERROR_AUTH, ANYWHERE},
    {"incorrect api key", ERROR_AUTH, ANYWHERE},
    {"api key not valid", ERROR_AUTH, ANYWHERE},
    {"missing api key", ERROR_AUTH, ANYWHERE},
    {"token has expired", ERROR_AUTH, ANYWHERE},
    {"invalid authentication credentials", ERROR_AUTH, ANYWHERE},
    {"log in", ERROR_AUTH, ABOUT_LOGIN},
    {"logged in", ERROR_AUTH, ABOUT_LOGIN},
    {"sign in", ERROR_AUTH, ABOUT_LOGIN},
    {"signed in", ERROR_AUTH, ABOUT_LOGIN},
    {"not authenticated", ERROR_AUTH, ABOUT_LOGIN},
    {"auth required", ERROR_AUTH, ABOUT_LOGIN},
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

static bool agent_error_is_in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Whether a word continues at `at` in the direction of `step`. A dot or hyphen between two letters
 * is part of the word, as in file names. */
static bool agent_error_goes_on(const char *at, int step)
{
    return agent_error_is_in_word(*at) ||
           ((*at == '.' || *at == '-' || *at == '/') && agent_error_is_in_word(at[step]));
}

static bool agent_error_begins_word(const char *text, const char *at)
{
    return at == text ||
           !(at - text == 1 ? agent_error_is_in_word(at[-1]) : agent_error_goes_on(at - 1, -1));
}

/* Whether the text contains the phrase as whole words. */
static bool agent_error_has_phrase(const char *text, const char *phrase)
{
    size_t len = strlen(phrase);

    for (const char *at = text; (at = strcasestr(at, phrase)); at++)
        if (agent_error_begins_word(text, at) && !agent_error_goes_on(at + len, 1))
            return true;
    return false;
}

static bool agent_error_is_phrase(const char *text, const char *phrase)
{
    size_t len = strlen(phrase);

    return strncasecmp(text, phrase, len) == 0 && strspn(text + len, ".! \n") == strlen(text + len);
}

static bool agent_error_parts_words(char c)
{
    return c && strchr(" \t\n:=\"'(),[]{}", c);
}

/* Whether `text` up to `end` ends with the word, ignoring separators. */
static bool agent_error_ends_with(const char *text, const char *end, const char *word)
{
    size_t len = strlen(word);

    while (end > text && agent_error_parts_words(end[-1]))
        end--;
    return (size_t)(end - text) >= len && strncasecmp(end - len, word, len) == 0 &&
           ((size_t)(end - text) == len || !agent_error_is_in_word(end[-(ptrdiff_t)len - 1]));
}

static bool agent_error_ends_with_any(const char *text, const char *end, const char *const *words)
{
    for (; *words; words++)
        if (agent_error_ends_with(text, end, *words))
            return true;
    return false;
}

/* Whether the three digits at `at` are an HTTP status: after a word that can only mean that, after
 * an ambiguous word and followed only by their phrase, or at the start of the text before that
 * phrase or the provider's answer. */
static bool agent_error_is_told_as_status(const char *text, const char *at, const char *reason)
{
    static const char *const surely[] = {"http",       "http/1.1",  "http/2",
                                         "http error", "api error", NULL};
    static const char *const maybe[] = {"status",     "status code", "statuscode", "status_code",
                                        "error code", "error",       NULL};
    static const char *const never[] = {"exit status", "exit code", NULL};
    const char *after = at + 3;
    bool is_followed;

    while (agent_error_parts_words(*after) && *after != '{')
        after++;
    is_followed = strncasecmp(after, reason, strlen(reason)) == 0;
    if (agent_error_ends_with_any(text, at, surely))
        return true;
    if (at == text)
        return is_followed || *after == '{';
    return agent_error_ends_with_any(text, at, maybe) &&
           !agent_error_ends_with_any(text, at, never) &&
           (is_followed || !agent_error_is_in_word(*after));
}

static enum error_class agent_error_of_told_status(const char *text)
{
    for (const char *at = text; *at;) {
        size_t digits = strspn(at, "0123456789");

        for (size_t i = 0; digits == 3 && i < ARRAY_SIZE(statuses); i++)
            if (strtol(at, NULL, 10) == statuses[i].status && agent_error_begins_word(text, at) &&
                !agent_error_goes_on(at + 3, 1) &&
                agent_error_is_told_as_status(text, at, statuses[i].reason))
                return statuses[i].class;
        at += digits ? digits : 1;
    }
    return ERROR_NONE;
}

/* A provider's error name in the text, unless it is an ordinary word. */
static enum error_class agent_error_of_told_name(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strchr(names[i].name, '_') && agent_error_has_phrase(text, names[i].name))
            return names[i].class;
    return ERROR_NONE;
}

enum error_class agent_error_of_words(const char *text, bool is_about_login)
{
    enum error_class class = agent_error_of_told_status(text);

    if (class == ERROR_NONE)
        class = agent_error_of_told_name(text);
    for (size_t i = 0; class == ERROR_NONE && i < ARRAY_SIZE(phrases); i++)
        if ((phrases[i].where != ABOUT_LOGIN || is_about_login) &&
            (phrases[i].where == ALONE ? agent_error_is_phrase
                                       : agent_error_has_phrase)(text, phrases[i].words))
            class = phrases[i].class;
    return class;
}
