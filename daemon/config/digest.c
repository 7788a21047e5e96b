/* SPDX-License-Identifier: MIT */
#include "config/digest.h"

#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/crc32c.h"
#include "config/value.h"

static uint32_t digest_hash_text(const void *at)
{
    const char *text;

    memcpy(&text, at, sizeof(text));
    return text ? crc32c(0, text, strlen(text)) : 0;
}

/* Of an object, whatever the order of its members. */
static uint32_t digest_hash_object(const void *at)
{
    CLEANUP(json_putp) struct json_object *object = NULL;
    const char *text, *reason;
    uint32_t hash = 0;
    size_t offset;

    memcpy(&text, at, sizeof(text));
    if (!text || json_parse(text, strlen(text), &object, &reason, &offset) < 0)
        return 0;
    json_object_object_foreach(object, name, member)
    {
        const char *value = json_object_get_string(member);

        hash += crc32c(crc32c(0, name, strlen(name) + 1), value, strlen(value));
    }
    return hash;
}

/* `in_order`: whether the order of the words counts. */
static uint32_t digest_hash_words(const void *at, bool in_order)
{
    char *const *words;
    uint32_t hash = 0;

    memcpy(&words, at, sizeof(words));
    for (; words && *words; words++)
        hash = in_order ? crc32c(hash, *words, strlen(*words) + 1)
                        : hash + crc32c(0, *words, strlen(*words));
    return hash;
}

static uint32_t digest_hash(const void *base, const struct config_row *row)
{
    const void *at = (const char *)base + row->offset;

    switch (row->type) {
    case CONFIG_INTEGER:
    case CONFIG_SECONDS:
    case CONFIG_REUSE:
        return crc32c(0, at, sizeof(int64_t));
    case CONFIG_NUMBER:
        return crc32c(0, at, sizeof(double));
    case CONFIG_CHOICE:
        return crc32c(0, at, sizeof(int));
    case CONFIG_PERMISSIONS:
        return crc32c(0, at, sizeof(struct permissions));
    case CONFIG_TEXT:
    case CONFIG_NAME:
    case CONFIG_COLOR:
    case CONFIG_PATH:
        return digest_hash_text(at);
    case CONFIG_OPTIONS:
        return digest_hash_object(at);
    case CONFIG_WORDS:
        return digest_hash_words(at, false);
    case CONFIG_COMMAND:
        return digest_hash_words(at, true);
    case CONFIG_ROLES:
    case CONFIG_RUNNER:
    case CONFIG_ENV:
    case CONFIG_SERVERS:
        break;
    }
    return 0;
}

/* `defaults`: of the same type as `base`. */
static void digest_add_rows(struct buf *out, const void *base, const void *defaults,
                            const struct config_row *rows, const char *prefix)
{
    for (const struct config_row *row = rows; row->key; row++) {
        uint32_t hash = digest_hash(base, row);

        if (row->type != CONFIG_NAME && hash != digest_hash(defaults, row))
            buf_printf(out, "%s%s=%08x ", prefix, row->key, (unsigned)hash);
    }
}

char *config_digest(const struct profile_config *profile)
{
    struct profile_config plain = {0};
    struct buf out = {0};

    config_set_defaults(&plain, config_profile_rows);
    config_set_defaults(&plain.runner, config_runner_rows);
    digest_add_rows(&out, profile, &plain, config_profile_rows, "");
    buf_printf(&out, "runner.type=%d ", (int)profile->runner.type);
    digest_add_rows(&out, &profile->runner, &plain.runner, config_runner_rows, "runner.");
    profile_config_deinit(&plain);
    return buf_take(&out);
}
