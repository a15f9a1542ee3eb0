#include "server.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

/* Where a program on this machine reaches the server. */
static const char *near_host(const struct lark_address *listen)
{
    if (!listen->any) return listen->host;
    return listen->socket.ss_family == AF_INET ? "127.0.0.1" : "[::1]";
}

void lark__server_banner(const struct lark_settings *settings)
{
    const char *scheme = settings->tls_cert != NULL ? "https" : "http";
    const char *host = near_host(&settings->listen);
    const unsigned port = settings->listen.port;
    const char *mount = settings->mount;
    printf("lark serves %s at %s://%s:%u%s/\n", settings->own_redis ? "a private Redis" : settings->redis_url, scheme,
           host, port, mount);
    if (!settings->listen.loopback)
        printf("answers to the host names %s; --allowed-hosts adds others\n", settings->hosts);
    if (settings->scopes[0] == '\0' && (settings->tokens != NULL || settings->has_store)) {
        printf("callers need a token: lark token create --%s %s makes one\n",
               settings->tokens != NULL ? "tokens" : "token-store",
               settings->tokens != NULL ? settings->tokens : settings->store_url);
        printf("\n  curl -H 'Authorization: Bearer TOKEN' %s://%s:%u%s/GET/greeting/\n", scheme, host, port, mount);
    } else if (settings->scopes[0] == '\0' && settings->oauth.issuer != NULL) {
        printf("callers need an access token of %s\n", settings->oauth.issuer);
        printf("\n  curl -H 'Authorization: Bearer TOKEN' %s://%s:%u%s/GET/greeting/\n", scheme, host, port, mount);
    } else if (settings->scopes[0] == '\0') {
        printf("no scopes: every call is answered 403. Start with --tokens or --default-scopes, for example read:* or "
               "admin, to allow calls\n");
        printf("\n  curl %s://%s:%u/healthz\n", scheme, host, port);
    } else {
        if (settings->allowed.admin && settings->listen.loopback)
            printf("development mode: loopback only, anonymous is admin\n");
        else
            printf("anonymous callers%s have the scopes: %s\n",
                   settings->listen.loopback ? "" : ", from anywhere the address is reached,", settings->scopes);
        printf("\n  curl -X POST %s://%s:%u%s/SET/greeting/ -d '{\"value\": \"hello\"}'\n", scheme, host, port, mount);
        printf("  curl %s://%s:%u%s/GET/greeting/\n", scheme, host, port, mount);
        printf("  curl -X POST %s://%s:%u%s/RPUSH/list/ -d '{\"values\": [\"a\", \"b\"]}'\n", scheme, host, port,
               mount);
    }
    printf("\nCtrl-C stops it\n");
    fflush(stdout);
}
