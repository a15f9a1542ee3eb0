#include "ngx_http_lark.h"

#include <stdlib.h>

static void *mem_alloc(void *ctx, size_t n)
{
    (void)ctx;
    return ngx_alloc(n, ngx_cycle->log);
}

static void *mem_resize(void *ctx, void *p, size_t old_n, size_t n)
{
    (void)ctx;
    (void)old_n;
    return realloc(p, n); /* large ones are moved by the kernel, not copied: a pool of nginx cannot do that */
}

static void mem_free(void *ctx, void *p, size_t n)
{
    (void)ctx;
    (void)n;
    ngx_free(p);
}

/* Requests and connections alike: what does not fit a request's inline blocks is freed by its cleanup handler. */
const struct lark_mem ngx_http_lark_mem = {NULL, mem_alloc, mem_resize, mem_free};

/* Before the configuration is read. */
static ngx_int_t add_variables(ngx_conf_t *cf)
{
    if (ngx_http_lark_add_variables(cf) != NGX_OK || ngx_http_lark_introspect_variables(cf) != NGX_OK) {
        return NGX_ERROR;
    }
    return ngx_http_lark_add_cors_variable(cf);
}

static ngx_http_module_t module_ctx = {
    add_variables,
    ngx_http_lark_add_handler,
    ngx_http_lark_create_main_conf,
    ngx_http_lark_init_main_conf,
    NULL, /* create server configuration */
    NULL, /* merge server configuration */
    ngx_http_lark_create_loc_conf,
    ngx_http_lark_merge_loc_conf,
};

ngx_module_t ngx_http_lark_module = {
    NGX_MODULE_V1,
    &module_ctx,
    ngx_http_lark_commands,
    NGX_HTTP_MODULE,
    NULL, /* init master */
    NULL, /* init module */
    ngx_http_lark_init_process,
    NULL, /* init thread */
    NULL, /* exit thread */
    ngx_http_lark_exit_process,
    NULL, /* exit master */
    NGX_MODULE_V1_PADDING,
};

/* What nginx looks up in a dynamic module; nginx' own build writes these into objs/..._modules.c. */
LARK_API extern ngx_module_t *ngx_modules[];
LARK_API extern char *ngx_module_names[];
LARK_API extern char *ngx_module_order[];

static char module_name[] = "ngx_http_lark_module";

ngx_module_t *ngx_modules[] = {&ngx_http_lark_module, NULL};
char *ngx_module_names[] = {module_name, NULL};
char *ngx_module_order[] = {NULL};
