/* json_write.h - the writer's pieces that only the core needs. */
#ifndef LARK_JSON_WRITE_H
#define LARK_JSON_WRITE_H

#include <lark/json.h>

/* The inside of a JSON string, without quotes. return: as lark_json_write_text */
LARK_MUST_USE enum lark_status lark__json_write_inner(struct lark_buf *out, struct lark_slice text);

/* The same for a piece of text that is known to be UTF-8; it may be cut inside a character. return: as lark_buf_append */
LARK_MUST_USE enum lark_status lark__json_write_piece(struct lark_buf *out, struct lark_slice text);

/* A JSON string that holds bytes as base64. */
LARK_MUST_USE enum lark_status lark__json_write_base64(struct lark_buf *out, struct lark_slice bytes);

/* A member name: text as it is, other bytes and text that begins with "$base64:" as "$base64:...". */
LARK_MUST_USE enum lark_status lark__json_write_name(struct lark_buf *out, struct lark_slice bytes);

#endif
