/* What the workers count, for lark_metrics: in shared memory a slot for each, which it alone writes, without atomics; whoever
 * is asked sums. A slot outlives its worker, and the next one counts on in it: nothing goes backwards. */
#ifndef NGX_HTTP_LARK_STATS_H
#define NGX_HTTP_LARK_STATS_H

#include <ngx_config.h>
#include <ngx_core.h>

#include <lark/lark.h>

#include "ngx_http_lark_counters.h"

/* Workers, and those that still leave after reloads. */
#define NGX_HTTP_LARK_SLOTS 1024
#define NGX_HTTP_LARK_N_BUCKETS 17 /* the last one has no bound */
#define NGX_HTTP_LARK_N_LANES 3
#define NGX_HTTP_LARK_N_CLASSES 5 /* no answer, 2xx, 3xx, 4xx, 5xx */

/* A counter is one word: who reads sees it before or after an addition. */
typedef volatile uint64_t ngx_http_lark_counter_t;

/* Of times in nanoseconds: how many in each bucket, and their sum. */
typedef struct {
    ngx_http_lark_counter_t n[NGX_HTTP_LARK_N_BUCKETS];
    ngx_http_lark_counter_t sum;
} ngx_http_lark_times_t;

/* n: gauges first. Those of a worker that died stay until the slot is taken again: pid tells.
 * requests: the method's index + 1; 0: none */
typedef struct {
    ngx_http_lark_counter_t n[NGX_HTTP_LARK_N_COUNTERS];
    ngx_http_lark_times_t request_times[NGX_HTTP_LARK_N_LANES];
    ngx_http_lark_times_t redis_times[NGX_HTTP_LARK_N_LANES];
    ngx_http_lark_counter_t errors[LARK_N_ERRORS];
    ngx_http_lark_counter_t requests[LARK_METHODS_MAX + 1][NGX_HTTP_LARK_N_CLASSES];
    volatile ngx_pid_t pid; /* 0: free */
    volatile ngx_uint_t leaving;
} ngx_http_lark_stats_t;

/* Slots do not share a line of a processor's cache. */
typedef union {
    ngx_http_lark_stats_t stats;
    u_char room[(sizeof(ngx_http_lark_stats_t) / 128 + 1) * 128];
} ngx_http_lark_slot_t;

/* n_used: slots that some worker has had, the first ones */
typedef struct {
    volatile ngx_uint_t n_used;
    ngx_http_lark_counter_t n_starts;
    ngx_http_lark_counter_t n_deaths;
    time_t began;
    ngx_http_lark_slot_t *slots;
} ngx_http_lark_board_t;

/* The worker's own; before it has one, and in other processes, some that nobody reads. */
extern ngx_http_lark_stats_t *ngx_http_lark_stats;
/* Of the buckets, and how many of them are below each power of two (in a worker) */
extern const uint64_t ngx_http_lark_bounds_ns[NGX_HTTP_LARK_N_BUCKETS];
extern u_char ngx_http_lark_n_bounds[64];

/* Of a worker. */
void ngx_http_lark_stats_begin(ngx_shm_zone_t *zone, ngx_log_t *log);
void ngx_http_lark_stats_end(ngx_shm_zone_t *zone);

/* Is there still a worker in it? Its gauges count. */
ngx_uint_t ngx_http_lark_stats_lives(const ngx_http_lark_stats_t *stats);

/* Nanoseconds of a steady clock, as of this turn of the event loop: it is asked once a turn. */
extern uint64_t ngx_http_lark_turn_ns;
uint64_t ngx_http_lark_turn_begins(void);

static ngx_inline uint64_t ngx_http_lark_now_ns(void)
{
    return ngx_http_lark_turn_ns != 0 ? ngx_http_lark_turn_ns : ngx_http_lark_turn_begins();
}

/* Between two powers of two there is one bound at most. */
static ngx_inline void ngx_http_lark_time_add(ngx_http_lark_times_t *times, uint64_t ns)
{
    ngx_uint_t i = ngx_http_lark_n_bounds[63 - __builtin_clzll(ns | 1)];
    i += ns > ngx_http_lark_bounds_ns[i];
    times->n[i]++;
    times->sum += ns;
}

#endif
