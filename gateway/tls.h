/* SPDX-License-Identifier: MIT */
/* What civetweb needs for TLS: OpenSSL, and one file with certificate and key. */
#pragma once

#include "common/macros.h"

/** Loads OpenSSL and initialises civetweb with it. -errno with a message, which the caller frees,
 * on failure. */
int tls_load(char **ret_error);

/** Puts certificate (with its chain, if any) and private key, both PEM, into one anonymous file and
 * returns its descriptor. -errno with a message, which the caller frees, for invalid files. */
int tls_join(const char *cert_file, const char *key_file, char **ret_error);
