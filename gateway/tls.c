/* SPDX-License-Identifier: MIT */
#include "gateway/tls.h"

#include <civetweb.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/alloc.h"
#include "common/path.h"
#include "gateway/file.h"

/* A loaded library is found by its name: see openssl/peer.c. */
static int tls_load_library(const char *built, const char *installed, char **ret_error)
{
    CLEANUP(freep) char *path = path_find_own(built, installed);

    if (dlopen(path, RTLD_NOW | RTLD_LOCAL))
        return 0;
    *ret_error =
        xasprintf("TLS needs OpenSSL 3 (in Debian the package libssl3), and an acp-gateway "
                  "that was built with it: %s",
                  dlerror());
    return -ENOENT;
}

int tls_load(char **ret_error)
{
    int r;

    if (!mg_check_feature(MG_FEATURES_TLS)) {
        *ret_error = xstrdup("the civetweb that acp-gateway was built with has no TLS; Debian's "
                             "package libcivetweb1 has it");
        return -ENOTSUP;
    }
    r = tls_load_library("openssl/libcrypto.so", ACPD_LIBEXECDIR "/libcrypto.so", ret_error);
    if (r == 0)
        r = tls_load_library("openssl/libssl.so", ACPD_LIBEXECDIR "/libssl.so", ret_error);
    if (r == 0 && !(mg_init_library(MG_FEATURES_TLS) & MG_FEATURES_TLS)) {
        *ret_error = xstrdup("civetweb and this version of OpenSSL are incompatible");
        r = -ENOTSUP;
    }
    return r;
}

/* Reads a PEM file that must have a block of this kind, and appends it. */
static int tls_add_file(const char *path, bool is_key, struct buf *pem, char **ret_error)
{
    CLEANUP(buf_deinit) struct buf data = {0};
    int r = file_read(path, is_key, &data, ret_error);
    const char *fault = NULL;

    if (r < 0)
        return r;
    if (!strstr(buf_text(&data), is_key ? "PRIVATE KEY-----" : "-----BEGIN CERTIFICATE-----"))
        fault = is_key ? "contains no private key in PEM format"
                       : "contains no certificate in PEM format";
    else if (is_key && strstr(buf_text(&data), "ENCRYPTED"))
        fault = "is encrypted, and acp-gateway cannot ask for the passphrase; see openssl-pkey(1)";
    if (fault) {
        *ret_error = xasprintf("%s %s", path, fault);
        return -EINVAL;
    }
    buf_add(pem, data.data, data.len);
    buf_add_char(pem, '\n');
    return 0;
}

int tls_join(const char *cert_file, const char *key_file, char **ret_error)
{
    CLEANUP(buf_deinit) struct buf pem = {0};
    CLEANUP(closep) int fd = -1;
    int r = tls_add_file(cert_file, false, &pem, ret_error);

    if (r == 0)
        r = tls_add_file(key_file, true, &pem, ret_error);
    if (r < 0)
        return r;
    fd = memfd_create("tls", MFD_CLOEXEC);
    if (fd < 0 || write(fd, pem.data, pem.len) != (ssize_t)pem.len) {
        r = -errno;
        *ret_error = xasprintf("cannot keep the certificate in memory: %s", strerror(errno));
        return r;
    }
    return steal_fd(&fd);
}
