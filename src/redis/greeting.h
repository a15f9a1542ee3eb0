/* greeting.h - the handshake of a connection, and the small things it shares with conn.c. */
#ifndef LARK_GREETING_H
#define LARK_GREETING_H

#include "conn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Lays out AUTH, SELECT, CLIENT SETNAME and CLIENT ID. return: as lark_buf_append */
LARK_MUST_USE enum lark_status lark__conn_greet(struct lark_conn *conn, const struct lark_conn_login *login);
/* An event of an answer to one of them. return: LARK_OK | LARK_E_AWAY (refused; the reason is set) */
LARK_MUST_USE enum lark_status lark__conn_take_greeting(struct lark_conn *conn, const struct lark_resp_event *event);

/* Bytes that come before anything was asked: "-ERR max number of clients reached", or nonsense. return: LARK_E_AWAY |
 * LARK_E_PROTOCOL; the reason is set */
LARK_MUST_USE enum lark_status lark__conn_refused(struct lark_conn *conn, struct lark_slice bytes);

LARK_MUST_USE enum lark_status lark__conn_write_words(struct lark_buf *out, const struct lark_slice *words,
                                                      size_t n_words);

/* n in decimal digits, inside digits. return: until digits go */
struct lark_slice lark__conn_digits(uint64_t n, uint8_t digits[20]);
struct lark_slice lark__conn_text(const char *text);
bool lark__conn_begins(struct lark_slice text, const char *word);
/* Why the connection failed, for lark_conn_reason. */
void lark__conn_reason_set(struct lark_conn *conn, const char *text);
void lark__conn_reason_add(struct lark_conn *conn, struct lark_slice text);

#ifdef __cplusplus
}
#endif
#endif
