/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins for libssl.so and libcrypto.so, for civetweb.
 *
 * civetweb 1.15 loads OpenSSL at run time. It asks for libssl.so and libcrypto.so, which only
 * development packages contain, and, as built by Debian, for the function below, which OpenSSL 3
 * has renamed. Without that function it continues, and the first TLS connection would crash the
 * gateway. This file is built as two libraries with those names: they link OpenSSL and provide the
 * function.
 */
#include <openssl/ssl.h>

#undef SSL_get_peer_certificate
__attribute__((visibility("default"))) X509 *SSL_get_peer_certificate(const SSL *ssl);

X509 *SSL_get_peer_certificate(const SSL *ssl)
{
    return SSL_get1_peer_certificate(ssl);
}
