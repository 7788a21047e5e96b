/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `data`, continuing from `crc`; start with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
