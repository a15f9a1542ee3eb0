/* probe.h - is a Redis there and does it let us in; does our own server answer. */
#ifndef LARK_CLI_PROBE_H
#define LARK_CLI_PROBE_H

#include "settings.h"
#include "stream.h"

enum lark_probe {
    LARK_PROBE_OK,
    LARK_PROBE_LOADING, /* it is reading its data */
    LARK_PROBE_FAILED
};

/* lark__probe_open - the same, and the connection stays: out_stream is set on LARK_PROBE_OK, to be closed by the caller. */
enum lark_probe lark__probe_open(struct lark_arena *arena, const struct lark_redis_place *place, int timeout_ms,
                                 struct lark_stream *out_stream, const char **out_why);

/* lark__probe_redis - connect, TLS, AUTH, SELECT, PING, within timeout_ms (the look-up of a name apart).
 * out:    out_why: on LARK_PROBE_FAILED what went wrong, in the arena; never the password */
enum lark_probe lark__probe_redis(struct lark_arena *arena, const struct lark_redis_place *place, int timeout_ms,
                                  const char **out_why);

/* lark__probe_http - the status that GET /healthz of the server at an address answers with, within timeout_ms; 0: none.
 * With TLS the request goes in clear and nginx answers 400: that tells as well that it serves. */
int lark__probe_http(const struct lark_address *address, int timeout_ms);

#endif
