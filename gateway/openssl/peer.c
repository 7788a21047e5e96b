/* SPDX-License-Identifier: MIT */
/*
 * The libssl.so and libcrypto.so that civetweb finds.
 *
 * civetweb 1.15 takes OpenSSL when it runs: by the names libssl.so and libcrypto.so, which only the
 * packages for developers have; and, as Debian builds it, with the function below, which OpenSSL 3
 * calls by another name. It goes on without having found it, and the first TLS connection would end
 * the gateway. Two libraries by those names are made of this file: they bring OpenSSL with them,
 * and the function.
 */
#include <openssl/ssl.h>

#undef SSL_get_peer_certificate
__attribute__((visibility("default"))) X509 *SSL_get_peer_certificate(const SSL *ssl);

X509 *SSL_get_peer_certificate(const SSL *ssl)
{
    return SSL_get1_peer_certificate(ssl);
}
