/* lark_metrics: what all workers have counted, in Prometheus' text format or OpenMetrics.
 * source: Prometheus, Exposition formats, 0.0.4; OpenMetrics 1.0.0 */
#include "ngx_http_lark.h"

#define LITERAL(text) ((struct lark_slice){(const uint8_t *)(text), sizeof(text) - 1})

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM, TYPE_INFO };

/* sum: of all workers; gauges of those that live */
typedef struct {
    const ngx_http_lark_board_t *board;
    ngx_http_lark_stats_t sum;
    ngx_uint_t n_running;
    ngx_uint_t n_leaving;
    uint64_t resident;
    struct lark_buf *out;
    enum lark_status status;
    unsigned is_openmetrics : 1;
} page_t;

/* A row of data/metrics.json. made: NULL: sums from `first` on, one for each value of the label */
typedef struct metric_s metric_t;
struct metric_s {
    const char *name;
    enum metric_type type;
    const char *doc;
    ngx_uint_t first;
    const char *label;
    const char *const *values;
    ngx_uint_t n_values;
    void (*made)(page_t *page, const metric_t *metric);
};

#include "ngx_http_lark_metrics.inc"

/* ---- sums ---- */

static void add_times(ngx_http_lark_times_t *sum, const ngx_http_lark_times_t *times)
{
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_BUCKETS; i++) {
        sum->n[i] += times->n[i];
    }
    sum->sum += times->sum;
}

/* Of another process: /proc knows. 0 where it does not. */
static uint64_t resident_of(ngx_pid_t pid)
{
    u_char path[64];
    u_char text[128];
    *ngx_snprintf(path, sizeof(path) - 1, "/proc/%P/statm", pid) = '\0';
    ngx_fd_t fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof(text));
    (void)ngx_close_file(fd);
    u_char *last = text + ngx_max(n, 0);
    u_char *word = ngx_strlchr(text, last, ' '); /* the second number: pages */
    u_char *end = word == NULL ? NULL : ngx_strlchr(word + 1, last, ' ');
    ngx_int_t pages = end == NULL ? 0 : ngx_atoi(word + 1, (size_t)(end - word - 1));
    return pages > 0 ? (uint64_t)pages * ngx_pagesize : 0;
}

static void add_worker(page_t *page, const ngx_http_lark_stats_t *stats)
{
    ngx_http_lark_stats_t *sum = &page->sum;
    ngx_uint_t lives = ngx_http_lark_stats_lives(stats);
    if (lives) {
        page->n_leaving += stats->leaving;
        page->n_running += !stats->leaving;
        page->resident += resident_of(stats->pid);
    }
    for (ngx_uint_t i = lives ? 0 : NGX_HTTP_LARK_N_GAUGES; i < NGX_HTTP_LARK_N_COUNTERS; i++) {
        sum->n[i] += stats->n[i];
    }
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_LANES; i++) {
        add_times(&sum->request_times[i], &stats->request_times[i]);
        add_times(&sum->redis_times[i], &stats->redis_times[i]);
    }
    for (ngx_uint_t i = 0; i < LARK_N_ERRORS; i++) {
        sum->errors[i] += stats->errors[i];
    }
    for (ngx_uint_t m = 0; m <= LARK_METHODS_MAX; m++) {
        for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_CLASSES; i++) {
            sum->requests[m][i] += stats->requests[m][i];
        }
    }
}

/* ---- lines ---- */

static void put(page_t *page, struct lark_slice text)
{
    if (page->status == LARK_OK) {
        page->status = lark_buf_append(page->out, text);
    }
}

static void put_text(page_t *page, const char *text)
{
    put(page, (struct lark_slice){(const uint8_t *)text, ngx_strlen(text)});
}

static void put_number(page_t *page, uint64_t number)
{
    u_char text[NGX_INT64_LEN + 1];
    u_char *end = ngx_sprintf(text, "%uL", number);
    put(page, (struct lark_slice){text, (size_t)(end - text)});
}

static void put_seconds(page_t *page, uint64_t ns)
{
    u_char text[NGX_INT64_LEN + 16];
    u_char *end = ngx_sprintf(text, "%uL.%09uL", ns / 1000000000, ns % 1000000000);
    put(page, (struct lark_slice){text, (size_t)(end - text)});
}

/* The name of a sample, up to the labels. */
static void begin(page_t *page, const metric_t *metric, const char *suffix)
{
    put_text(page, metric->name);
    put_text(page, metric->type == TYPE_COUNTER ? "_total" : suffix);
}

static void put_label(page_t *page, const char *before, const char *label, struct lark_slice value)
{
    put_text(page, before);
    put_text(page, label);
    put(page, LITERAL("=\""));
    put(page, value);
    put(page, LITERAL("\""));
}

static void sample(page_t *page, const metric_t *metric, uint64_t number)
{
    begin(page, metric, "");
    put(page, LITERAL(" "));
    put_number(page, number);
    put(page, LITERAL("\n"));
}

static void labelled(page_t *page, const metric_t *metric, const char *label, const char *value, uint64_t number)
{
    begin(page, metric, "");
    put_label(page, "{", label, (struct lark_slice){(const uint8_t *)value, ngx_strlen(value)});
    put(page, LITERAL("} "));
    put_number(page, number);
    put(page, LITERAL("\n"));
}

/* The two formats differ in how the family of a counter and of an info is called. */
static void head(page_t *page, const metric_t *metric)
{
    static const char *const types[] = {" counter\n", " gauge\n", " histogram\n", " info\n"};
    const char *const words[] = {"# HELP ", "# TYPE "};
    size_t len = ngx_strlen(metric->name);
    ngx_uint_t is_info = metric->type == TYPE_INFO;
    if (is_info && page->is_openmetrics) {
        len -= sizeof("_info") - 1;
    }
    for (ngx_uint_t i = 0; i < 2; i++) {
        put_text(page, words[i]);
        put(page, (struct lark_slice){(const uint8_t *)metric->name, len});
        if (metric->type == TYPE_COUNTER && !page->is_openmetrics) {
            put(page, LITERAL("_total"));
        }
        if (i == 0) {
            put(page, LITERAL(" "));
            put_text(page, metric->doc);
            put(page, LITERAL("\n"));
        }
    }
    put_text(page, types[is_info && !page->is_openmetrics ? TYPE_GAUGE : metric->type]);
}

/* ---- the metrics that are no sum of one counter ---- */

static void made_build(page_t *page, const metric_t *metric)
{
    begin(page, metric, "");
    put_label(page, "{", "version", LITERAL(LARK_VERSION));
    put_label(page, ",", "nginx", LITERAL(NGINX_VERSION));
    put(page, LITERAL("} 1\n"));
}

static void made_start_time(page_t *page, const metric_t *metric)
{
    sample(page, metric, (uint64_t)page->board->began);
}

static void put_requests(page_t *page, const metric_t *metric, struct lark_slice method,
                         const ngx_http_lark_counter_t *numbers)
{
    static const char *const classes[] = {"none", "2xx", "3xx", "4xx", "5xx"};
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_CLASSES; i++) {
        begin(page, metric, "");
        put_label(page, "{", "method", method);
        put_label(page, ",", "status", (struct lark_slice){(const uint8_t *)classes[i], ngx_strlen(classes[i])});
        put(page, LITERAL("} "));
        put_number(page, numbers[i]);
        put(page, LITERAL("\n"));
    }
}

/* A method that nobody has called has no lines. */
static void made_requests(page_t *page, const metric_t *metric)
{
    const struct lark_catalogue *catalogue = lark_catalogue_default();
    put_requests(page, metric, LITERAL("unknown"), page->sum.requests[0]);
    for (size_t m = 0; m < lark_catalogue_count(catalogue); m++) {
        const ngx_http_lark_counter_t *numbers = page->sum.requests[m + 1];
        uint64_t all = 0;
        for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_CLASSES; i++) {
            all += numbers[i];
        }
        if (all > 0) {
            put_requests(page, metric, lark_catalogue_name(catalogue, m), numbers);
        }
    }
}

/* Several errors may have one code. */
static void made_errors(page_t *page, const metric_t *metric)
{
    for (ngx_uint_t i = 0; i < LARK_N_ERRORS; i++) {
        const char *code = lark_error_row(-1 - (int)i)->code;
        uint64_t number = 0;
        ngx_uint_t is_first = 1;
        for (ngx_uint_t j = 0; j < LARK_N_ERRORS; j++) {
            if (ngx_strcmp(code, lark_error_row(-1 - (int)j)->code) == 0) {
                number += page->sum.errors[j];
                is_first = is_first && j >= i;
            }
        }
        if (is_first) {
            labelled(page, metric, "code", code, number);
        }
    }
}

static void put_times(page_t *page, const metric_t *metric, const ngx_http_lark_times_t *lanes)
{
    static const char *const names[] = {"shared", "blocking", "private"};
    static const char *const bounds[] = {"0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005",
                                         "0.01",   "0.025",   "0.05",   "0.1",   "0.25",   "0.5",
                                         "1.0",    "2.5",     "5.0",    "10.0",  "+Inf"};
    for (ngx_uint_t lane = 0; lane < NGX_HTTP_LARK_N_LANES; lane++) {
        struct lark_slice name = {(const uint8_t *)names[lane], ngx_strlen(names[lane])};
        uint64_t number = 0;
        for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_BUCKETS; i++) {
            number += lanes[lane].n[i];
            begin(page, metric, "_bucket");
            put_label(page, "{", "lane", name);
            put_label(page, ",", "le", (struct lark_slice){(const uint8_t *)bounds[i], ngx_strlen(bounds[i])});
            put(page, LITERAL("} "));
            put_number(page, number);
            put(page, LITERAL("\n"));
        }
        begin(page, metric, "_count");
        put_label(page, "{", "lane", name);
        put(page, LITERAL("} "));
        put_number(page, number);
        put(page, LITERAL("\n"));
        begin(page, metric, "_sum");
        put_label(page, "{", "lane", name);
        put(page, LITERAL("} "));
        put_seconds(page, lanes[lane].sum);
        put(page, LITERAL("\n"));
    }
}

static void made_request_times(page_t *page, const metric_t *metric)
{
    put_times(page, metric, page->sum.request_times);
}

static void made_redis_times(page_t *page, const metric_t *metric)
{
    put_times(page, metric, page->sum.redis_times);
}

static void made_workers(page_t *page, const metric_t *metric)
{
    labelled(page, metric, "state", "running", page->n_running);
    labelled(page, metric, "state", "leaving", page->n_leaving);
}

static void made_worker_starts(page_t *page, const metric_t *metric)
{
    sample(page, metric, page->board->n_starts);
}

static void made_worker_deaths(page_t *page, const metric_t *metric)
{
    sample(page, metric, page->board->n_deaths);
}

static void made_memory(page_t *page, const metric_t *metric)
{
    sample(page, metric, page->resident);
}

static void made_http_connections(page_t *page, const metric_t *metric)
{
#if (NGX_STAT_STUB)
    labelled(page, metric, "state", "reading", *ngx_stat_reading);
    labelled(page, metric, "state", "writing", *ngx_stat_writing);
    labelled(page, metric, "state", "waiting", *ngx_stat_waiting);
#else
    (void)page; /* this nginx does not count them */
    (void)metric;
#endif
}

/* ---- the answer ---- */

static enum lark_status write_page(ngx_http_lark_ctx_t *ctx, ngx_uint_t is_openmetrics)
{
    ngx_http_lark_main_conf_t *conf = ngx_http_get_module_main_conf(ctx->request, ngx_http_lark_module);
    page_t page;
    ngx_memzero(&page, sizeof(page));
    page.board = conf->stats->data;
    page.out = &ctx->out;
    page.is_openmetrics = is_openmetrics ? 1 : 0;
    for (ngx_uint_t i = 0; i < page.board->n_used; i++) {
        add_worker(&page, &page.board->slots[i].stats);
    }
    for (ngx_uint_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const metric_t *metric = &metrics[i];
        head(&page, metric);
        if (metric->made != NULL) {
            metric->made(&page, metric);
        } else if (metric->values == NULL) {
            sample(&page, metric, page.sum.n[metric->first]);
        } else {
            for (ngx_uint_t k = 0; k < metric->n_values; k++) {
                labelled(&page, metric, metric->label, metric->values[k], page.sum.n[metric->first + k]);
            }
        }
    }
    if (is_openmetrics) {
        put(&page, LITERAL("# EOF\n"));
    }
    return page.status;
}

static ngx_table_elt_t *header_of(ngx_http_request_t *r, const char *lowercase)
{
    size_t len = ngx_strlen(lowercase);
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len && ngx_memcmp(h[i].lowcase_key, lowercase, len) == 0) {
                return &h[i];
            }
        }
    }
    return NULL;
}

/* q=0, q=0.000: not that one (RFC 9110 section 12.4.2) */
static ngx_uint_t is_zero_quality(u_char *p, u_char *last)
{
    static u_char quality[] = "q=0";
    p = ngx_strlcasestrn(p, last, quality, sizeof(quality) - 2);
    if (p == NULL) {
        return 0;
    }
    for (p += sizeof(quality) - 1; p < last && (*p == '.' || *p == '0'); p++) {
    }
    return p == last || *p < '1' || *p > '9';
}

/* Prometheus names the formats that it takes; who names OpenMetrics (and not with q=0) gets it. */
static ngx_uint_t wants_openmetrics(ngx_http_request_t *r)
{
    static u_char type[] = "application/openmetrics-text";
    ngx_table_elt_t *accept = header_of(r, "accept");
    if (accept == NULL) {
        return 0;
    }
    u_char *last = accept->value.data + accept->value.len;
    u_char *found = ngx_strlcasestrn(accept->value.data, last, type, sizeof(type) - 2);
    if (found == NULL) {
        return 0;
    }
    u_char *comma = ngx_strlchr(found, last, ',');
    return !is_zero_quality(found, comma == NULL ? last : comma);
}

/* A program on this machine. A proxy on it has the same address, but says so, or is an nginx as it is unless told otherwise: it
 * speaks HTTP/1.0, which no scraper does. A module that takes addresses from headers (realip) has no say in who is connected. */
static ngx_uint_t is_local(ngx_http_request_t *r)
{
    static const char *const proxies[] = {"forwarded", "x-forwarded-for", "x-real-ip", "via"};
    ngx_sockaddr_t peer;
    socklen_t len = sizeof(peer);
    ngx_connection_t *c = r->connection;
    if (r->http_version < NGX_HTTP_VERSION_11) {
        return 0;
    }
    for (ngx_uint_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        if (header_of(r, proxies[i]) != NULL) {
            return 0;
        }
    }
    return getpeername(c->fd, &peer.sockaddr, &len) == 0 && ngx_http_lark_is_loopback(&peer.sockaddr) &&
           ngx_http_lark_is_loopback(c->sockaddr);
}

static ngx_int_t refuse_caller(ngx_http_lark_ctx_t *ctx)
{
    struct lark_err err;
    ngx_uint_t is_unknown = ctx->caller == NULL && ngx_http_lark_has_source(ctx->conf);
    ngx_memzero(&err, sizeof(err));
    err.method = -1;
    err.name = LITERAL("this page");
    err.text = ctx->caller == NULL ? "admin or read:metrics, or a call from this machine itself without a proxy"
                                   : "admin or read:metrics";
    return ngx_http_lark_refuse(ctx, &err, is_unknown ? LARK_E_CREDENTIALS : LARK_E_SCOPE);
}

ngx_int_t ngx_http_lark_metrics_handler(ngx_http_request_t *r)
{
    static const ngx_str_t types[] = {NGX_HTTP_LARK_TEXT("text/plain; version=0.0.4; charset=utf-8"),
                                      NGX_HTTP_LARK_TEXT("application/openmetrics-text; version=1.0.0; charset=utf-8")};
    struct lark_err err;
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module); /* of ngx_http_lark_enter */
    ngx_http_lark_main_conf_t *conf = ngx_http_get_module_main_conf(r, ngx_http_lark_module);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (conf->stats == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "lark: nothing is counted: there is no lark_redis");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!ctx->principal.scopes->metrics && (ctx->caller != NULL || !is_local(r))) {
        return refuse_caller(ctx);
    }
    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        ngx_memzero(&err, sizeof(err));
        err.method = -1;
        err.verbs = LARK_VERB_GET | LARK_VERB_HEAD;
        return ngx_http_lark_refuse(ctx, &err, LARK_E_WRONG_VERB);
    }
    ngx_http_lark_body_refuse(r);
    ngx_uint_t is_openmetrics = wants_openmetrics(r);
    if (write_page(ctx, is_openmetrics) != LARK_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    ctx->content_type = &types[is_openmetrics];
    return ngx_http_lark_send(ctx, NGX_HTTP_OK, 0);
}
