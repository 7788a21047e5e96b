/* SPDX-License-Identifier: MIT */
/*
 * Macros that every module shares.
 *
 * Ownership: a pointer in a local marked CLEANUP is freed at the end of its scope; STEAL transfers
 * it and leaves NULL behind. Destructors accept NULL and partly built objects.
 *
 * Results: 0 is success, a negative value is an errno, which the caller passes on, and a positive
 * value is an outcome that the caller must handle. Output parameters come last, are named ret_* and
 * are unchanged on failure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Whether AddressSanitizer watches: gcc's sign of it, or clang's. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HAS_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN
#endif

#define ARRAY_SIZE(a)            (sizeof(a) / sizeof((a)[0]))
#define CLEANUP(destructor)      __attribute__((cleanup(destructor)))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define UNUSED                   __attribute__((unused))
#define MUST_CHECK               __attribute__((warn_unused_result))
#define PLURAL(count)            ((count) == 1 ? "" : "s")

#define STEAL(pointer)                                                                             \
    __extension__({                                                                                \
        __typeof__(pointer) stolen_ = (pointer);                                                   \
        (pointer) = NULL;                                                                          \
        stolen_;                                                                                   \
    })

#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* CLEANUP(freep) for memory from malloc; CLEANUP(closep) for a file descriptor, -1 meaning none. */
static inline void freep(void *pointer)
{
    free(*(void **)pointer);
}

static inline void closep(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* STEAL for a file descriptor. */
static inline int steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}
