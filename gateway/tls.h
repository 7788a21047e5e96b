/* SPDX-License-Identifier: MIT */
/* What civetweb needs to speak TLS: OpenSSL, and one file with the certificate and its key. */
#pragma once

#include "common/macros.h"

/** Loads OpenSSL and initialises civetweb's library with it. -errno with a message, to be freed,
 * when that cannot be. */
int tls_load(char **ret_error);

/** Puts certificate (with its chain, if any) and private key, both PEM, into one file without a
 * name and returns its descriptor. -errno with a message, to be freed, for files that are none. */
int tls_join(const char *cert_file, const char *key_file, char **ret_error);
