/* Who has how many blocking calls. A caller is in the tree while he has one. */
#include "ngx_http_lark.h"

struct ngx_http_lark_caller_s {
    ngx_str_node_t node;
    ngx_uint_t n_calls;
    u_char id[];
};

/* An IPv6 host has 2^64 addresses to choose from: they are one caller. */
static ngx_str_t address_of(ngx_connection_t *c)
{
    ngx_str_t id = NGX_HTTP_LARK_TEXT("unix");
#if (NGX_HAVE_INET6)
    if (c->sockaddr->sa_family == AF_INET6) {
        struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)c->sockaddr;
        int is_v4 = IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr);
        id.data = sin6->sin6_addr.s6_addr + (is_v4 ? 12 : 0);
        id.len = is_v4 ? 4 : 8;
    }
#endif
    if (c->sockaddr->sa_family == AF_INET) {
        struct sockaddr_in *sin = (struct sockaddr_in *)(void *)c->sockaddr;
        id.data = (u_char *)&sin->sin_addr;
        id.len = 4;
    }
    return id;
}

/* The byte before keeps names and addresses apart. */
size_t ngx_http_lark_caller_id(const ngx_http_lark_ctx_t *ctx, ngx_uint_t by_name, u_char *id)
{
    ngx_str_t text = address_of(ctx->request->connection);
    if (by_name) {
        text.data = (u_char *)(uintptr_t)ctx->caller->name;
        text.len = ctx->caller->name_len;
    }
    id[0] = by_name ? 'c' : 'a';
    ngx_memcpy(id + 1, text.data, text.len);
    return 1 + text.len;
}

void ngx_http_lark_callers_init(ngx_http_lark_redis_t *redis)
{
    ngx_rbtree_init(&redis->callers, &redis->callers_end, ngx_str_rbtree_insert_value);
}

enum lark_status ngx_http_lark_caller_enter(ngx_http_lark_ctx_t *ctx, ngx_http_lark_caller_t **out_caller)
{
    ngx_http_lark_redis_t *redis = ctx->conf->redis;
    u_char bytes[NGX_HTTP_LARK_CALLER_ID_MAX];
    /* whoever showed a credential is its name, wherever he calls from */
    ngx_uint_t is_named = ctx->caller != NULL && ctx->caller->name_len > 0;
    ngx_str_t id = {ngx_http_lark_caller_id(ctx, is_named, bytes), bytes};
    uint32_t hash = ngx_murmur_hash2(id.data, id.len);
    ngx_http_lark_caller_t *caller = (void *)ngx_str_rbtree_lookup(&redis->callers, &id, hash);
    if (caller == NULL) {
        caller = ngx_alloc(sizeof(ngx_http_lark_caller_t) + id.len, redis->log);
        if (caller == NULL) {
            return LARK_E_NOMEM;
        }
        caller->n_calls = 0;
        caller->node.node.key = hash;
        caller->node.str.data = caller->id;
        caller->node.str.len = id.len;
        ngx_memcpy(caller->id, id.data, id.len);
        ngx_rbtree_insert(&redis->callers, &caller->node.node);
    }
    if (caller->n_calls >= redis->block_calls_max) {
        return LARK_E_TOO_MANY;
    }
    caller->n_calls++;
    *out_caller = caller;
    return LARK_OK;
}

void ngx_http_lark_caller_leave(ngx_http_lark_redis_t *redis, ngx_http_lark_caller_t *caller)
{
    if (--caller->n_calls == 0) {
        ngx_rbtree_delete(&redis->callers, &caller->node.node);
        ngx_free(caller);
    }
}
