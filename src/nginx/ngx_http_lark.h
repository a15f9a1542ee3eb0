/* The nginx host of Lark: its types, and what its files share. Which file does what: README.md beside it. */
#ifndef NGX_HTTP_LARK_H
#define NGX_HTTP_LARK_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>

#include <lark/auth.h>
#include <lark/lark.h>

#include "conn.h"
#include "ngx_http_lark_oauth.h"
#include "ngx_http_lark_stats.h"
#include "ngx_http_lark_trace.h"
#include "tls.h"
#include "url.h"

/* Most requests fit in these, and then cost no allocation. */
#define NGX_HTTP_LARK_ARENA_BLOCK 768
#define NGX_HTTP_LARK_OUT_BLOCK 384
#define NGX_HTTP_LARK_CACHE_LINE 64
/* Such blocks are kept for the next requests, which finds them in the cache of the processor; not in a sanitizer's build,
 * which would not see that one is used too long. */
#ifdef __SANITIZE_ADDRESS__
#define NGX_HTTP_LARK_FREE_CTX_MAX 0
#else
#define NGX_HTTP_LARK_FREE_CTX_MAX 128
#endif
/* A request's arguments and shaping state; strings of the body are not copied. */
#define NGX_HTTP_LARK_ARENA_MAX ((size_t)64 * 1024 * 1024)
/* Connections that may break under a request before anything was done. */
#define NGX_HTTP_LARK_TRIES_MAX 8
/* Bytes queued to one Redis over which no further call is taken: Redis reads too slowly. */
#define NGX_HTTP_LARK_PENDING_MAX ((size_t)16 * 1024 * 1024)
/* A request with a larger body gets a connection of its own, and its command is made while it is written. */
#define NGX_HTTP_LARK_LARGE_BODY ((uint64_t)256 * 1024)
/* Of a large body, what is read as JSON in one turn of the loop; and buffers that come from the caller in one. */
#define NGX_HTTP_LARK_STEP_BYTES ((uint64_t)16 * 1024)
#define NGX_HTTP_LARK_BODY_BUFS_A_TURN 1
/* A worker that is told to go waits for timers, and a body that is being read has no other. */
#define NGX_HTTP_LARK_STEP_TIMER 60000
/* Of a file that is no longer needed, what is given back in one turn. */
#define NGX_HTTP_LARK_RELEASE_BYTES ((size_t)128 * 1024)
/* Writes of one connection in one turn: a huge command does not keep the others waiting. */
#define NGX_HTTP_LARK_WRITES_A_TURN 1
/* Of a large command, what is written in a millisecond: 256 MB a second. */
#define NGX_HTTP_LARK_PACE_BYTES ((size_t)256 * 1024)
/* Unused connections kept for the next blocking call. */
#define NGX_HTTP_LARK_IDLE_MAX 32
#define NGX_HTTP_LARK_IDLE_MS 30000
#define NGX_HTTP_LARK_READ_BUF ((size_t)64 * 1024)
/* Reads of one connection in one turn of the loop: a huge reply does not keep the others waiting. A connection that a large
 * reply has to itself has one, of fewer bytes: a call of the others takes two turns, which each may wait for it. */
#define NGX_HTTP_LARK_READS_A_TURN 4
#define NGX_HTTP_LARK_LARGE_READ ((size_t)16 * 1024)
/* An answer that has come to this, and goes on, goes out while it comes. */
#define NGX_HTTP_LARK_STREAM_BYTES ((size_t)64 * 1024)
/* A value that is longer, and comes in pieces, goes to the spool before its first byte goes out. */
#define NGX_HTTP_LARK_SPOOL_VALUE ((uint64_t)1024 * 1024)
/* What a caller has not taken yet: in memory up to this, then in a file. */
#define NGX_HTTP_LARK_SPOOL_MEMORY ((size_t)256 * 1024)
/* Of all callers of a worker; over it files only. */
#define NGX_HTTP_LARK_SPOOL_MEMORY_ALL ((size_t)8 * 1024 * 1024)
/* What is handed to nginx at a time, and how often in one turn of the loop while more comes: JSON may be longer than what
 * Redis sent. When all is there, once a turn. */
#define NGX_HTTP_LARK_SEND_BYTES ((size_t)16 * 1024)
#define NGX_HTTP_LARK_SENDS_A_TURN 2
/* A reply that has come to this on the shared connection, and goes on, keeps it to itself; so many at once. */
#define NGX_HTTP_LARK_LARGE_REPLY ((uint64_t)256 * 1024)
#define NGX_HTTP_LARK_RETIRED_MAX 16
#define NGX_HTTP_LARK_PING_EVERY 2000
#define NGX_HTTP_LARK_PING_TIMEOUT 2000
#define NGX_HTTP_LARK_BACKOFF_FIRST 25
#define NGX_HTTP_LARK_BACKOFF_MAX 400
/* A lost connection is tried again at once, but not more often. */
#define NGX_HTTP_LARK_AGAIN_MS 100
/* CLIENT UNBLOCK may overtake the command that it is about: it is sent again after so long, then twice as long, ... */
#define NGX_HTTP_LARK_UNBLOCK_FIRST 2
#define NGX_HTTP_LARK_UNBLOCK_MAX 32
/* What an issuer says of a token counts no longer. */
#define NGX_HTTP_LARK_INTROSPECT_CACHE_MAX 60000

/* Longest id of a caller: a byte for its kind, and the name of a credential or an address. */
#define NGX_HTTP_LARK_CALLER_ID_MAX (1 + LARK_TOKEN_NAME_MAX)

typedef struct ngx_http_lark_ctx_s ngx_http_lark_ctx_t;
typedef struct ngx_http_lark_asked_s ngx_http_lark_asked_t;
typedef struct ngx_http_lark_link_s ngx_http_lark_link_t;
typedef struct ngx_http_lark_caller_s ngx_http_lark_caller_t;
typedef struct ngx_http_lark_redis_s ngx_http_lark_redis_t;
typedef struct ngx_http_lark_stream_s ngx_http_lark_stream_t;

/* Why Redis is away, for the error envelope and the log. */
typedef struct {
    size_t len;
    u_char data[LARK_CONN_REASON_MAX];
} ngx_http_lark_reason_t;

/* One lark_redis; from `shared` on: the worker's own state. */
struct ngx_http_lark_redis_s {
    ngx_str_t name;
    ngx_url_t url;
    struct lark_conn_login login;
    ngx_ssl_t *ssl; /* NULL: in clear */
    ngx_msec_t connect_timeout;
    ngx_uint_t queue_max;
    ngx_uint_t pool_max;
    ngx_uint_t block_calls_max;
    ngx_log_t *log;
    struct lark_config lookup; /* of a token store: how it is asked */
    struct lark_scopes lookup_scopes;
    unsigned is_data : 1;
    unsigned is_store : 1;

    struct lark_credentials *verified; /* of a token store: tokens found a moment ago */
    ngx_http_lark_link_t *shared;
    ngx_queue_t idle;  /* blocking links without a call, newest first */
    ngx_queue_t links; /* all but the shared one */
    ngx_queue_t again; /* requests whose connection broke, to be sent once more */
    ngx_uint_t n_idle;
    ngx_uint_t n_links;
    ngx_uint_t n_retired; /* of the links: shared ones that a large reply has to itself */
    ngx_uint_t addr;      /* of url.addrs, the one in use */
    ngx_ssl_session_t *session;
    u_char *read_buf; /* NGX_HTTP_LARK_READ_BUF bytes, for one read at a time */
    ngx_http_lark_reason_t reason;
    ngx_http_lark_reason_t told; /* the reason in the log */
    ngx_rbtree_t callers;        /* those who have blocking calls */
    ngx_rbtree_node_t callers_end;
    ngx_uint_t epoch; /* of one Redis process, as far as we can tell: ids of clients mean nothing in the next */
    ngx_uint_t n_given_back;
    unsigned no_unblock : 1; /* Redis has refused CLIENT UNBLOCK */
    unsigned away : 1;       /* the last try to connect failed: answer at once */
};

/* What is counted in a time, by whom: lark_rate_caller, lark_rate_address, lark_rate_failures. */
enum { NGX_HTTP_LARK_RATE_CALLER, NGX_HTTP_LARK_RATE_ADDRESS, NGX_HTTP_LARK_RATE_FAILURES, NGX_HTTP_LARK_N_RATES };

/* n: in a second or a minute, 0: no limit. share_ns: the time of one. ahead_ns: how much may come at once */
typedef struct {
    ngx_uint_t n;
    uint64_t share_ns;
    uint64_t ahead_ns;
    unsigned a_minute : 1;
    unsigned is_set : 1;
} ngx_http_lark_rate_t;

/* A variable that the configuration names. index: in the variables of a request; which: of ours */
#define NGX_HTTP_LARK_N_VARIABLES 7
typedef struct {
    ngx_uint_t index;
    ngx_uint_t which;
} ngx_http_lark_variable_t;

typedef struct {
    ngx_array_t redis; /* of ngx_http_lark_redis_t * */
    ngx_msec_t connect_timeout;
    ngx_int_t queue_max;
    ngx_int_t pool_max;
    ngx_int_t block_calls_max;
    ngx_array_t token_files;    /* of ngx_http_lark_token_file_t */
    struct lark_hasher *hasher; /* the worker's */
    ngx_array_t keys;           /* of ngx_http_lark_keys_t *, each in its file */
    ngx_array_t oauth;          /* of ngx_http_lark_oauth_t *: of the locations that take JWTs */
    ngx_array_t introspect;     /* of ngx_http_lark_introspect_t * */
    ngx_msec_t warned;          /* of a token's scopes, the worker's; 0: not yet */
    ngx_http_lark_variable_t variables[NGX_HTTP_LARK_N_VARIABLES]; /* the first n_variables are named somewhere */
    ngx_uint_t n_variables;
    ngx_uint_t makes_ids;      /* $lark_request_id is one of them */
    ngx_shm_zone_t *rate_zone; /* NULL: there is no lark_redis */
    size_t rate_zone_size;
    size_t spool_max;
    ngx_shm_zone_t *stats;         /* NULL: there is no lark_redis */
    ngx_http_lark_ctx_t *free_ctx; /* the worker's: requests that are done, for the next ones */
    ngx_uint_t n_free_ctx;
} ngx_http_lark_main_conf_t;

typedef struct {
    ngx_str_t redis_name;
    ngx_http_lark_redis_t *redis;
    ngx_msec_t timeout;
    ngx_msec_t block_max;
    size_t body_max;
    size_t value_max;
    size_t reply_max;
    ngx_int_t args_max;
    ngx_int_t scan_max;
    struct lark_scopes *scopes;
    ngx_array_t *hosts;        /* of ngx_str_t, in lower case */
    ngx_array_t *cors_origins; /* of ngx_str_t; NULL: none */
    const struct lark_tokens *tokens;
    ngx_str_t store_name;
    ngx_http_lark_redis_t *store;
    ngx_http_lark_rate_t rates[NGX_HTTP_LARK_N_RATES];
    ngx_http_lark_oauth_t oauth;
    ngx_flag_t require_prefix;
    ngx_flag_t insecure;
    struct lark_config config;
    struct lark_principal principal; /* of callers without credentials */
    ngx_str_t mount;
    unsigned is_api : 1;     /* the location has `lark` */
    unsigned is_metrics : 1; /* lark_metrics */
    ngx_str_t route;         /* what the location answers, as $lark_route says it; empty: nothing of ours */
    ngx_array_t *pinged;   /* of ngx_http_lark_redis_t *: lark_health, lark_ready; the names, before they are merged */
    unsigned is_ready : 1; /* lark_ready */
} ngx_http_lark_loc_conf_t;

/* What the headers say that nginx does not keep apart. */
typedef struct {
    ngx_str_t values;    /* Lark-Values */
    unsigned listed : 1; /* the Origin is one of lark_cors_origins */
    ngx_http_lark_trace_t trace;
} ngx_http_lark_headers_t;

/* A tokens file of the configuration; the table is freed with it. */
typedef struct {
    ngx_str_t path;
    struct lark_tokens *tokens;
} ngx_http_lark_token_file_t;

/* What a caller shows. token: its text, dead when the source that is asked returns */
typedef struct {
    struct lark_slice token;
    struct lark_hash hash;
} ngx_http_lark_shown_t;

/* A question to a token store. target: of the GET, and a NUL */
typedef struct {
    struct lark_hash hash;
    uint64_t asked_ms;
    u_char target[sizeof("/GET/lark:token:") + 64];
} ngx_http_lark_lookup_t;

/* A piece of a body in a file, as it was read last. */
typedef struct {
    u_char *buf;
    uint64_t at;
    size_t len;
} ngx_http_lark_window_t;

typedef void (*ngx_http_lark_again_pt)(ngx_http_lark_ctx_t *ctx);
/* What a source of credentials that said LARK_MORE has found: the next one is asked, or the request goes on, or is refused. The
 * caller then runs ngx_http_run_posted_requests of the connection; ctx may be gone. */
typedef void (*ngx_http_lark_identified_pt)(ngx_http_lark_ctx_t *ctx, enum lark_status status, struct lark_err *err);

/* One request. link is set while a reply is awaited; queued while it is in redis->again.
 * From `plan` on nothing is cleared when a request takes it: each part has its own beginning. */
struct ngx_http_lark_ctx_s {
    ngx_http_request_t *request;
    ngx_http_lark_loc_conf_t *conf;
    ngx_http_lark_ctx_t *next_free;
    ngx_http_lark_link_t *link;
    ngx_http_lark_stream_t *stream; /* of an answer that is large */
    uint64_t ticket;
    ngx_queue_t queue;
    ngx_msec_t started;
    ngx_buf_t body_buf;
    ngx_http_lark_window_t window;
    struct lark_body body;
    struct lark_planning *planning;       /* while a large body is read as JSON */
    const struct lark_credential *caller; /* NULL: nobody said who calls. Lives as long as the context */
    ngx_http_lark_lookup_t *lookup;       /* a token store is or was asked */
    ngx_http_lark_asked_t *asked;         /* an issuer is asked about a token */
    ngx_str_t values;                     /* the header Lark-Values */
    ngx_uint_t n_pinged;                  /* of conf->pinged */
    ngx_uint_t source;                    /* of the sources of credentials, the one that is asked */
    ngx_int_t retry_after_s;              /* of an error that knows better than its row */
    const ngx_str_t *content_type;        /* of an answer that is neither JSON nor bytes */
    ngx_http_lark_trace_t trace;
    uint64_t replied_ns;    /* when all of the reply was there; 0: not yet */
    enum lark_status error; /* what was answered, or why the answer was cut off */
    unsigned is_call : 1;   /* it counts as a request, not as a page of the gateway's own */
    unsigned passed : 1;    /* another context stands for it (lark_error) */
    unsigned admitted : 1;  /* who calls is settled: go on */
    unsigned basic : 1;     /* credentials came by the scheme Basic */
    unsigned judged : 1;    /* the token is of a kind that no further source knows */
    unsigned queued : 1;
    unsigned has_reply : 1;
    unsigned retried : 1;
    unsigned n_tries : 4;
    unsigned caller_full : 1; /* LARK_E_TOO_MANY was about the caller, not about the pool */
    unsigned stepped : 1;     /* an emulated call has gone beyond its first command */
    unsigned bytes : 1;       /* the answer is bytes: ctx->reply says which */
    unsigned has_step : 1;    /* `step` is in use */
    unsigned own_file : 1;    /* the body's file is of our making */
    struct lark_plan plan;
    uint64_t entered_ns; /* the request, on the clock of ngx_http_lark_now_ns; set with is_call */
    uint64_t sent_ns;    /* the command; set before replied_ns */
    ngx_int_t method;    /* in the catalogue; -1: none was found */
    struct lark_principal principal;
    struct lark_credential own; /* what caller points to when it is a copy (ngx_http_lark_use) */
    ngx_event_t step;
    ngx_http_lark_again_pt again;           /* set with queued */
    ngx_http_lark_identified_pt identified; /* set before a source of credentials is asked */
    ngx_http_client_body_handler_pt body_then;
    ngx_chain_t body_chain;
    struct lark_request lark_request;
    struct lark_reply reply;
    struct lark_spool spool;
    struct lark_arena arena;
    struct lark_buf out;
    u_char arena_block[NGX_HTTP_LARK_ARENA_BLOCK];
    u_char out_block[NGX_HTTP_LARK_OUT_BLOCK];
};

static inline struct lark_slice ngx_http_lark_slice(ngx_str_t s)
{
    return (struct lark_slice){s.data, s.len};
}

/* What a directive's function returns when nginx is to say what is wrong. */
static inline char *ngx_http_lark_conf_error(const char *text)
{
    return (char *)(uintptr_t)text; /* nginx takes char * and only reads it */
}

/* The caller is a copy of what a source keeps: a cache may give its place to another while the call is answered. */
static inline void ngx_http_lark_use(ngx_http_lark_ctx_t *ctx, const struct lark_credential *credential)
{
    ctx->own = *credential;
    ctx->caller = &ctx->own;
}

/* ngx_string without the cast that takes const away, which compilers warn of */
#define NGX_HTTP_LARK_TEXT(text)                                                                                       \
    {                                                                                                                  \
        sizeof(text) - 1, (u_char *)(uintptr_t)(text)                                                                  \
    }

extern ngx_module_t ngx_http_lark_module;
extern const struct lark_mem ngx_http_lark_mem;

/* conf */
extern ngx_command_t ngx_http_lark_commands[];
void *ngx_http_lark_create_main_conf(ngx_conf_t *cf);
char *ngx_http_lark_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_lark_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_lark_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);

/* file: all of it in *out_text, to be freed; of a level of the log what was wrong */
ngx_int_t ngx_http_lark_read_file(ngx_log_t *log, ngx_uint_t level, const char *directive, ngx_str_t *path, size_t max,
                                  ngx_str_t *out_text, ngx_file_info_t *out_info);
/* its first line, a secret: 1 to max bytes of the configuration's pool. what: it is, for messages */
char *ngx_http_lark_read_line(ngx_conf_t *cf, const char *directive, const char *what, ngx_str_t path, size_t max,
                              ngx_str_t *out_line);

/* words: the words NAME=VALUE of a directive from word `from` on, in any order; names: with the sign. takes: for the error.
 * out_values: n of them; len 0: not given. A NUL stands behind each, as behind every word of nginx */
char *ngx_http_lark_read_words(ngx_conf_t *cf, ngx_uint_t from, const ngx_str_t *names, ngx_uint_t n, const char *takes,
                               ngx_str_t *out_values);

/* redis: the directive lark_redis */
char *ngx_http_lark_set_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_http_lark_redis_t *ngx_http_lark_find_redis(ngx_http_lark_main_conf_t *conf, ngx_str_t *name);
ngx_int_t ngx_http_lark_tls_create(ngx_conf_t *cf, ngx_http_lark_redis_t *redis,
                                   const struct lark_tls_options *options);
void ngx_http_lark_tls_forget(ngx_http_lark_redis_t *redis);

/* guard: who may speak to us at all; fills err and answers its status. out_headers is set on LARK_OK. */
enum lark_status ngx_http_lark_guard(ngx_http_request_t *r, ngx_http_lark_loc_conf_t *conf,
                                     ngx_http_lark_headers_t *out_headers, struct lark_err *err);
enum lark_status ngx_http_lark_guard_host(ngx_http_request_t *r, ngx_array_t *hosts, struct lark_err *err);

/* cors. origin: the one of the list that the request has, or NULL; push: on every answer, with Vary; preflight: after the guard */
char *ngx_http_lark_set_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
const ngx_str_t *ngx_http_lark_cors_origin(ngx_http_request_t *r, const ngx_http_lark_loc_conf_t *conf);
ngx_uint_t ngx_http_lark_is_preflight(ngx_http_request_t *r, const ngx_http_lark_loc_conf_t *conf);
ngx_int_t ngx_http_lark_push_cors(ngx_http_request_t *r, const ngx_http_lark_loc_conf_t *conf);
ngx_int_t ngx_http_lark_add_cors_variable(ngx_conf_t *cf);

/* auth: the first handler of nginx' preaccess phase: guard, then credentials; it makes the request's context */
ngx_int_t ngx_http_lark_enter(ngx_http_request_t *r);
ngx_int_t ngx_http_lark_add_handler(ngx_conf_t *cf);
ngx_int_t ngx_http_lark_auth_init(ngx_http_lark_main_conf_t *conf); /* of a worker */
void ngx_http_lark_auth_done(ngx_http_lark_main_conf_t *conf);
ngx_uint_t ngx_http_lark_is_loopback(const struct sockaddr *address);

/* oauth: verified: is it one that was good a moment ago? keys: is it good?
 * return: LARK_OK (ctx->caller is set) | LARK_E_BAD_CREDENTIALS (ctx->judged: it is a JWT, and none of ours) | an error */
enum lark_status ngx_http_lark_ask_verified(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                            struct lark_err *err);
enum lark_status ngx_http_lark_ask_keys(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                        struct lark_err *err);
void ngx_http_lark_oauth_rules(ngx_http_lark_ctx_t *ctx, struct lark_jwt_rules *out);
ngx_int_t ngx_http_lark_oauth_init(ngx_http_lark_main_conf_t *conf); /* of a worker */
void ngx_http_lark_oauth_done(ngx_http_lark_main_conf_t *conf);
char *ngx_http_lark_set_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_lark_set_typ(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* introspect: sources of credentials: what was asked a moment ago; the issuer (LARK_MORE: ctx->identified follows) */
enum lark_status ngx_http_lark_ask_introspected(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                                struct lark_err *err);
enum lark_status ngx_http_lark_ask_introspection(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                                 struct lark_err *err);
char *ngx_http_lark_set_introspect(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_lark_introspect_variables(ngx_conf_t *cf);
void ngx_http_lark_introspect_filter(void);
ngx_int_t ngx_http_lark_introspect_init(ngx_http_lark_main_conf_t *conf); /* of a worker */
void ngx_http_lark_introspect_done(ngx_http_lark_main_conf_t *conf);

/* challenge */
ngx_int_t ngx_http_lark_push_challenge(ngx_http_lark_ctx_t *ctx, const struct lark_err *err);

/* store: LARK_OK (ctx->caller is set) | LARK_MORE (ctx->identified follows) | an error */
enum lark_status ngx_http_lark_ask_store(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                         struct lark_err *err);
void ngx_http_lark_store_prepare(ngx_http_lark_redis_t *redis);
ngx_int_t ngx_http_lark_store_init(ngx_http_lark_redis_t *redis);
void ngx_http_lark_store_done(ngx_http_lark_redis_t *redis);

/* tokens */
char *ngx_http_lark_set_token_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_lark_check_stores(ngx_conf_t *cf);
char *ngx_http_lark_set_tokens(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_lark_merge_tokens(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *prev, ngx_http_lark_loc_conf_t *conf);
ngx_uint_t ngx_http_lark_has_source(const ngx_http_lark_loc_conf_t *conf);

/* request */
ngx_int_t ngx_http_lark_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_lark_refuse(ngx_http_lark_ctx_t *ctx, struct lark_err *err, enum lark_status status);

/* context: create: it is freed by the request's cleanup. succeed: of a request that nginx led to lark_error: the new context
 * stands for the one before. reset: a lookup is done: as if nothing had been asked */
ngx_http_lark_ctx_t *ngx_http_lark_ctx_create(ngx_http_request_t *r, ngx_http_lark_loc_conf_t *conf);
void ngx_http_lark_ctx_succeed(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_ctx_reset(ngx_http_lark_ctx_t *ctx);

/* waiting: wait: from now on the caller is watched. look_after: has he left? The request is over then. finish: the end of a request
 * from an event that is not its own */
void ngx_http_lark_wait(ngx_http_request_t *r);
void ngx_http_lark_look_after(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_finish(ngx_http_lark_ctx_t *ctx, ngx_int_t rc);

/* failure: of a call: an answer that says why. return: as ngx_http_lark_send */
ngx_int_t ngx_http_lark_answer_failure(ngx_http_lark_ctx_t *ctx, enum lark_status status);

/* step: the next part of a large body, in the next turn of the loop; no further part; the end of reading it as JSON */
void ngx_http_lark_step(ngx_http_lark_ctx_t *ctx, ngx_event_handler_pt handler);
void ngx_http_lark_step_end(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_planning_end(ngx_http_lark_ctx_t *ctx);

/* body: read it, then `then` is called; NGX_OK, and ctx->body is set */
ngx_int_t ngx_http_lark_body_read(ngx_http_lark_ctx_t *ctx, ngx_http_client_body_handler_pt then);
void ngx_http_lark_body_set(ngx_http_lark_ctx_t *ctx);
/* fills err: the body is over plan.body_max. return: LARK_E_TOO_LARGE */
enum lark_status ngx_http_lark_body_over(const ngx_http_lark_ctx_t *ctx, struct lark_err *err);
ngx_int_t ngx_http_lark_body_expected(ngx_http_request_t *r);
void ngx_http_lark_body_refuse(ngx_http_request_t *r);
void ngx_http_lark_body_release(ngx_http_lark_ctx_t *ctx);

/* release: a large file without a name ends bit by bit; the descriptor stays its owner's to close */
void ngx_http_lark_release_file(ngx_fd_t fd, off_t size);

/* stream: begin: callbacks of a reply's spool. more: of its call. end: the reply is complete; 0: it is small and was not
 * streamed, the caller's to send. fail: the end of a request whose reply failed: an error, or when a part of the answer has
 * gone, no end of it. */
void ngx_http_lark_stream_begin(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_stream_more(void *data);
ngx_uint_t ngx_http_lark_stream_end(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_fail(ngx_http_lark_ctx_t *ctx, enum lark_status status);
ngx_uint_t ngx_http_lark_stream_started(const ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_stream_stop(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_stream_drop(ngx_http_lark_ctx_t *ctx);

/* length: of the body, -1: not known. return: as ngx_http_send_header */
ngx_int_t ngx_http_lark_send_head(ngx_http_lark_ctx_t *ctx, ngx_uint_t status, ngx_int_t retry_after_s, off_t length);
/* header: of the answer; key is static, value lives as long as the request */
ngx_int_t ngx_http_lark_push_header(ngx_http_request_t *r, ngx_str_t key, ngx_str_t value);
/* what the content handler returns, or what ngx_http_finalize_request takes */
ngx_int_t ngx_http_lark_send(ngx_http_lark_ctx_t *ctx, ngx_uint_t status, ngx_int_t retry_after_s);
ngx_int_t ngx_http_lark_send_error(ngx_http_lark_ctx_t *ctx, const struct lark_err *err);
ngx_int_t ngx_http_lark_send_options(ngx_http_lark_ctx_t *ctx);
ngx_int_t ngx_http_lark_send_preflight(ngx_http_lark_ctx_t *ctx);

/* lane: a connection for the request; on LARK_OK its reply is awaited and fn will be called with ctx */
enum lark_status ngx_http_lark_submit(ngx_http_lark_ctx_t *ctx, lark_call_fn fn, lark_call_more_fn more);
enum lark_status ngx_http_lark_submit_next(ngx_http_lark_ctx_t *ctx, ngx_http_lark_link_t *link, lark_call_fn fn,
                                           lark_call_more_fn more);
enum lark_status ngx_http_lark_submit_ping(ngx_http_lark_ctx_t *ctx, ngx_http_lark_redis_t *redis, lark_call_fn fn);
enum lark_status ngx_http_lark_submit_lookup(ngx_http_lark_ctx_t *ctx, ngx_http_lark_redis_t *redis, ngx_msec_t timeout,
                                             lark_call_fn fn);
void ngx_http_lark_cancel(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_leave(ngx_http_lark_link_t *link, ngx_uint_t reusable);
ngx_http_lark_link_t *ngx_http_lark_shared(ngx_http_lark_redis_t *redis);

/* again: later: ctx is sent once more when its Redis is back, by again; drop: no more; all: now */
void ngx_http_lark_again_later(ngx_http_lark_ctx_t *ctx, ngx_http_lark_again_pt again);
void ngx_http_lark_again_drop(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_again_all(ngx_http_lark_redis_t *redis);

/* reason: away_detail: why Redis is away; refusal: how it refused a PING */
struct lark_slice ngx_http_lark_refusal(const ngx_http_lark_link_t *link);
void ngx_http_lark_away_detail(ngx_http_lark_redis_t *redis, struct lark_err *err);

/* worker */
ngx_int_t ngx_http_lark_init_process(ngx_cycle_t *cycle);
void ngx_http_lark_exit_process(ngx_cycle_t *cycle);

/* rate: LARK_OK, or LARK_E_RATE with err and ctx->retry_after_s. request: counts one, when it is known who calls.
 * failures: a source of credentials that knows none: LARK_E_BAD_CREDENTIALS, or LARK_E_RATE: too many bad ones came from the
 * address. failed: another one did */
char *ngx_http_lark_set_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
void ngx_http_lark_merge_rates(ngx_http_lark_rate_t *rates, const ngx_http_lark_rate_t *prev);
ngx_int_t ngx_http_lark_add_rate_zone(ngx_conf_t *cf, ngx_http_lark_main_conf_t *conf);
enum lark_status ngx_http_lark_rate_request(ngx_http_lark_ctx_t *ctx, struct lark_err *err);
enum lark_status ngx_http_lark_rate_failures(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                             struct lark_err *err);
void ngx_http_lark_rate_failed(ngx_http_lark_ctx_t *ctx);

/* callers: LARK_OK | LARK_E_TOO_MANY | LARK_E_NOMEM. id: who calls, by the name of the credential or by the address;
 * NGX_HTTP_LARK_CALLER_ID_MAX bytes, and how many of them */
size_t ngx_http_lark_caller_id(const ngx_http_lark_ctx_t *ctx, ngx_uint_t by_name, u_char *id);
void ngx_http_lark_callers_init(ngx_http_lark_redis_t *redis);
enum lark_status ngx_http_lark_caller_enter(ngx_http_lark_ctx_t *ctx, ngx_http_lark_caller_t **out_caller);
void ngx_http_lark_caller_leave(ngx_http_lark_redis_t *redis, ngx_http_lark_caller_t *caller);

/* take_back: NGX_OK: the link sees to itself from now on; NGX_DECLINED: only its end ends the call */
ngx_int_t ngx_http_lark_take_back(ngx_http_lark_ctx_t *ctx, ngx_http_lark_link_t *link);
void ngx_http_lark_unblock(ngx_http_lark_link_t *link);
void ngx_http_lark_take_back_drop(ngx_http_lark_link_t *link);
/* leaving: now and then; blocked calls are ended in time when the worker was told to go */
void ngx_http_lark_leaving(ngx_http_lark_redis_t *redis);

/* stats: when the master reads the configuration */
ngx_int_t ngx_http_lark_add_stats_zone(ngx_conf_t *cf, ngx_http_lark_main_conf_t *conf);

/* record: begin: when the request's headers are read; pass: another context answers in its place; end: when it is over */
void ngx_http_lark_record_begin(ngx_http_lark_ctx_t *ctx);
void ngx_http_lark_record_pass(ngx_http_lark_ctx_t *from, ngx_http_lark_ctx_t *to);
void ngx_http_lark_record_end(ngx_http_lark_ctx_t *ctx);

/* variables: add: their names; find: those that the configuration names; keep: their values, when a request ends */
ngx_int_t ngx_http_lark_add_variables(ngx_conf_t *cf);
void ngx_http_lark_find_variables(ngx_conf_t *cf);
void ngx_http_lark_keep_variables(ngx_http_lark_ctx_t *ctx);

/* trace: scan: all headers of a request; make: an id, where one is used; push: the headers of the answer */
void ngx_http_lark_trace_scan(ngx_http_request_t *r, ngx_http_lark_trace_t *out);
void ngx_http_lark_trace_make(ngx_http_lark_ctx_t *ctx);
ngx_int_t ngx_http_lark_trace_push(ngx_http_lark_ctx_t *ctx);

/* metrics */
ngx_int_t ngx_http_lark_metrics_handler(ngx_http_request_t *r);

/* pages. begin: what they have in common: a body is not read, and nothing but a GET is taken. NGX_DECLINED: go on, with *out_ctx; else
 * what the handler returns */
ngx_int_t ngx_http_lark_page_begin(ngx_http_request_t *r, ngx_http_lark_ctx_t **out_ctx);
ngx_int_t ngx_http_lark_health_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_lark_metadata_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_lark_error_handler(ngx_http_request_t *r);

#endif
