#include "tls.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Alerts that tell what is wrong with our certificate (RFC 8446 section 6.2); OpenSSL has no words for the last. */
#define ALERT_BAD_CERTIFICATE 42
#define ALERT_CERTIFICATE_UNKNOWN 46
#define ALERT_UNKNOWN_CA 48
#define ALERT_CERTIFICATE_REQUIRED 116

/* ---- the context ---- */

/* The first error in OpenSSL's queue, which is emptied. */
static const char *first_error(void)
{
    const unsigned long code = ERR_peek_error();
    const char *text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return text == NULL ? "OpenSSL refuses it" : text;
}

static bool failed(char why[LARK_TLS_SETUP_TEXT_MAX], const char *what, const char *path)
{
    (void)snprintf(why, LARK_TLS_SETUP_TEXT_MAX, "the %s %s cannot be used: %s", what, path, first_error());
    return false;
}

/* Instead of a question on the terminal. */
static int no_passphrase(char *out, int max, int writing, void *ctx)
{
    (void)out;
    (void)max;
    (void)writing;
    (void)ctx;
    return -1;
}

static bool set_files(SSL_CTX *ctx, const struct lark_tls_options *options, char why[LARK_TLS_SETUP_TEXT_MAX])
{
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (options->ca != NULL && SSL_CTX_load_verify_file(ctx, options->ca) != 1) {
        return failed(why, "file of trusted certificates", options->ca);
    }
    if (options->ca == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return failed(why, "folder", "of the system's trusted certificates");
    }
    if (options->cert != NULL && SSL_CTX_use_certificate_chain_file(ctx, options->cert) != 1) {
        return failed(why, "client certificate", options->cert);
    }
    if (options->key != NULL && (SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM) != 1 ||
                                 SSL_CTX_check_private_key(ctx) != 1)) {
        return failed(why, "client key", options->key);
    }
    return true;
}

static void see_alert(const SSL *ssl, int where, int alert)
{
    struct lark_tls_watch *watch = SSL_get_app_data(ssl);
    if (watch == NULL || (where & SSL_CB_ALERT) == 0 || (alert >> 8) != SSL3_AL_FATAL) {
        return;
    }
    if ((where & SSL_CB_READ) != 0) {
        watch->peer_alert = alert & 0xff;
    } else {
        watch->our_alert = alert & 0xff;
    }
}

bool lark_tls_setup(struct ssl_ctx_st *ctx, const struct lark_tls_options *options, char why[LARK_TLS_SETUP_TEXT_MAX])
{
    X509_VERIFY_PARAM *expected = SSL_CTX_get0_param(ctx);
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, options->name) != 1 &&
        X509_VERIFY_PARAM_set1_host(expected, options->name, 0) != 1) {
        return failed(why, "name", options->name);
    }
    ERR_clear_error(); /* a host name is no IP address */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_info_callback(ctx, see_alert);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
        return failed(why, "version", "TLS 1.2");
    }
    const bool good = set_files(ctx, options, why);
    ERR_clear_error();
    return good;
}

/* ---- a connection ---- */

bool lark_tls_begin(struct ssl_st *ssl, struct lark_tls_watch *watch)
{
    char *host = X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), 0); /* not const: the macro below casts it */
    watch->peer_alert = -1;
    watch->our_alert = -1;
    return SSL_set_app_data(ssl, watch) == 1 && (host == NULL || SSL_set_tlsext_host_name(ssl, host) == 1);
}

static const char *say(struct lark_tls_watch *watch, const char *what, const char *detail)
{
    (void)snprintf(watch->text, sizeof watch->text, "%s%s", what, detail);
    return watch->text;
}

static const char *wrong_name(SSL *ssl, struct lark_tls_watch *watch)
{
    const char *host = X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), 0);
    char *address = host != NULL ? NULL : X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(ssl));
    const char *name = host != NULL ? host : address != NULL ? address : "that name";
    const char *text = say(watch, "the certificate of Redis is not for ", name);
    OPENSSL_free(address);
    ERR_clear_error();
    return text;
}

static const char *wrong_certificate(SSL *ssl, struct lark_tls_watch *watch, long fault)
{
    switch (fault) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return "the certificate of Redis has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "the certificate of Redis is not valid yet";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return wrong_name(ssl, watch);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return say(watch,
                   "the certificate of Redis is by no CA that is trusted here: ", X509_verify_cert_error_string(fault));
    default: return say(watch, "the certificate of Redis is refused: ", X509_verify_cert_error_string(fault));
    }
}

static const char *refused(SSL *ssl, struct lark_tls_watch *watch)
{
    const int alert = watch->peer_alert;
    const bool has_ours = SSL_get_certificate(ssl) != NULL;
    if (alert == ALERT_CERTIFICATE_REQUIRED) {
        return "Redis wants a client certificate";
    }
    if (has_ours &&
        ((alert >= ALERT_BAD_CERTIFICATE && alert <= ALERT_CERTIFICATE_UNKNOWN) || alert == ALERT_UNKNOWN_CA)) {
        return say(watch, "Redis refuses our client certificate: ", SSL_alert_desc_string_long(alert));
    }
    const char *hint = has_ours ? "" : " (perhaps it wants a client certificate)";
    (void)snprintf(watch->text, sizeof watch->text, "Redis refuses TLS with us: %s%s",
                   SSL_alert_desc_string_long(alert), alert == SSL_AD_HANDSHAKE_FAILURE ? hint : "");
    return watch->text;
}

const char *lark_tls_why(struct ssl_st *ssl, struct lark_tls_watch *watch, bool closed)
{
    const long fault = SSL_get_verify_result(ssl);
    if (fault != X509_V_OK) {
        return wrong_certificate(ssl, watch, fault);
    }
    if (watch->peer_alert >= 0) {
        return refused(ssl, watch);
    }
    if (SSL_is_init_finished(ssl)) {
        return NULL;
    }
    if (watch->our_alert >= 0) {
        return say(watch, "the TLS handshake failed: ", SSL_alert_desc_string_long(watch->our_alert));
    }
    return closed ? "the connection was closed in the TLS handshake" : "what answers there speaks no TLS";
}
