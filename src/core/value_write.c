/* value_write.c - a value of a known form becomes JSON in pieces. */
#include <lark/spool.h>

#include "base64.h"
#include "buf.h"
#include "json_write.h"

void lark_value_writer_init(struct lark_value_writer *writer, enum lark_value_form form)
{
    *writer = (struct lark_value_writer){.form = form};
}

static enum lark_status begin(struct lark_value_writer *writer, struct lark_buf *out)
{
    if (writer->begun) return LARK_OK;
    writer->begun = true;
    if (writer->form == LARK_FORM_JSON) return LARK_OK;
    return writer->form == LARK_FORM_BYTES ? LARK_APPEND(out, "{\"$base64\": \"") : LARK_APPEND(out, "\"");
}

/* Groups of three bytes; what is left over waits for the next piece. */
static enum lark_status put_base64(struct lark_value_writer *writer, struct lark_slice bytes, struct lark_buf *out)
{
    while (writer->n_held > 0 && writer->n_held < 3 && bytes.len > 0) {
        writer->held[writer->n_held++] = bytes.p[0];
        bytes = lark__from(bytes, 1);
    }
    if (writer->n_held == 3) {
        enum lark_status status = lark__base64_append(out, lark__slice(writer->held, 3));
        if (status != LARK_OK) return status;
        writer->n_held = 0;
    }
    if (bytes.len == 0) return LARK_OK;
    size_t left = bytes.len % 3;
    enum lark_status status = lark__base64_append(out, lark__slice(bytes.p, bytes.len - left));
    if (left > 0) memcpy(writer->held, bytes.p + bytes.len - left, left);
    writer->n_held = (uint8_t)left;
    return status;
}

enum lark_status lark_value_writer_put(struct lark_value_writer *writer, struct lark_slice bytes, struct lark_buf *out)
{
    enum lark_status status = begin(writer, out);
    if (status != LARK_OK) return status;
    switch (writer->form) {
    case LARK_FORM_TEXT: return lark__json_write_piece(out, bytes);
    case LARK_FORM_BYTES:
    case LARK_FORM_BASE64: return put_base64(writer, bytes, out);
    case LARK_FORM_JSON: break;
    }
    return lark_buf_append(out, bytes);
}

enum lark_status lark_value_writer_end(struct lark_value_writer *writer, struct lark_buf *out)
{
    enum lark_status status = begin(writer, out);
    if (status != LARK_OK || writer->form == LARK_FORM_JSON) return status;
    if (writer->n_held > 0) status = lark__base64_append(out, lark__slice(writer->held, writer->n_held));
    if (status != LARK_OK) return status;
    return writer->form == LARK_FORM_BYTES ? LARK_APPEND(out, "\"}") : LARK_APPEND(out, "\"");
}
