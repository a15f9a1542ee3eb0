/* resp_write.c - commands on the wire: arrays of bulk strings. */
#include <lark/resp.h>

#include "buf.h"
#include "num.h"

static enum lark_status write_header(struct lark_buf *out, uint8_t type, size_t n)
{
    uint8_t line[24];
    line[0] = type;
    size_t len = 1 + lark__format_u64(n, line + 1);
    line[len++] = '\r';
    line[len++] = '\n';
    return lark__append(out, line, len);
}

enum lark_status lark_resp_write_array(struct lark_buf *out, size_t n_items)
{
    return write_header(out, '*', n_items);
}

enum lark_status lark_resp_write_bulk(struct lark_buf *out, struct lark_slice bytes)
{
    size_t start = out->len;
    enum lark_status status = write_header(out, '$', bytes.len);
    if (status == LARK_OK) status = lark_buf_append(out, bytes);
    if (status == LARK_OK) status = LARK_APPEND(out, "\r\n");
    if (status != LARK_OK) out->len = start;
    return status;
}
