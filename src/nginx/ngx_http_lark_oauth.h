/* ngx_http_lark_oauth.h - access tokens of an issuer: what a location asks of them, and the issuer's keys. Included by the
 * module's header. */
#ifndef NGX_HTTP_LARK_OAUTH_H
#define NGX_HTTP_LARK_OAUTH_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <lark/jwt.h>

/* A key set in a file. */
typedef struct ngx_http_lark_keys_s ngx_http_lark_keys_t;

/* Where opaque tokens are asked about. location: of this server, proxies to the issuer; authorization: the header of who asks, len
 * 0: none; keep: how long an answer counts
 * verified, refused: the worker's, of one location (NULL in what it inherits): what was asked a moment ago */
typedef struct {
    ngx_str_t location;
    ngx_str_t authorization;
    ngx_msec_t keep;
    struct lark_credentials *verified;
    struct lark_credentials *refused;
} ngx_http_lark_introspect_t;

/* Of a location. metadata: the URL of RFC 9728 that belongs to `resource`
 * verified, verified_by: the worker's: JWTs that were good a moment ago, by the keys of that generation */
typedef struct {
    ngx_str_t issuer;
    ngx_str_t audience;
    ngx_str_t scope_claim;
    ngx_str_t prefix_claim;
    ngx_str_t resource;
    ngx_str_t metadata;
    ngx_uint_t typ; /* enum lark_jwt_typ */
    ngx_msec_t leeway;
    unsigned tells : 1; /* the location has lark_resource_metadata */
    ngx_http_lark_keys_t *keys;
    ngx_http_lark_introspect_t *introspect;
    struct lark_credentials *verified;
    ngx_uint_t verified_by;
} ngx_http_lark_oauth_t;

/* oauth: directives; what is asked of a token */
void ngx_http_lark_create_oauth(ngx_http_lark_oauth_t *oauth);
char *ngx_http_lark_merge_oauth(ngx_conf_t *cf, ngx_http_lark_oauth_t *prev, ngx_http_lark_oauth_t *conf,
                                ngx_uint_t is_api);

/* keys: from_file: NULL: it said why. path: absolute, with a NUL; max_age_s: 0: nobody refreshes the file.
 * now: the keys, looked for anew when the file has changed; NULL: there are none that may be used
 * generation: changes with the keys. wish: somebody should fetch them */
ngx_http_lark_keys_t *ngx_http_lark_keys_from_file(ngx_conf_t *cf, ngx_str_t path, time_t max_age_s);
struct lark_jwks *ngx_http_lark_keys_now(ngx_http_lark_keys_t *keys, ngx_log_t *log);
ngx_uint_t ngx_http_lark_keys_generation(const ngx_http_lark_keys_t *keys);
void ngx_http_lark_keys_wish(ngx_http_lark_keys_t *keys, ngx_log_t *log);

#endif
