/* SPDX-License-Identifier: MIT */
#include "common/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

/* One byte at a time, with a table built on first use. */
static uint32_t crc32c_by_table(uint32_t crc, const unsigned char *data, size_t len)
{
    static uint32_t table[256];

    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t entry = i;

        for (int bit = 0; bit < 8; bit++)
            entry = entry >> 1 ^ (entry & 1 ? POLYNOMIAL : 0);
        table[i] = entry;
    }
    for (; len; len--)
        crc = crc >> 8 ^ table[(crc ^ *data++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_by_instruction(uint32_t crc, const unsigned char *data, size_t len)
{
    uint64_t wide = crc, word;

    for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, data, sizeof(word));
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len; len--)
        crc = __builtin_ia32_crc32qi(crc, *data++);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_by_instruction(~crc, data, len);
#endif
    return ~crc32c_by_table(~crc, data, len);
}
