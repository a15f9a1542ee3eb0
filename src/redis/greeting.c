#include <assert.h>
#include <string.h>

#include "conn_parts.h"

enum greeting { GREETING_AUTH, GREETING_SELECT, GREETING_NAME, GREETING_ID, GREETING_PING };
static const char *const greeting_words[] = {"AUTH", "SELECT", "CLIENT SETNAME", "CLIENT ID", "PING"};

struct lark_slice lark__conn_text(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, strlen(text)};
}

/* Text of Redis may hold any byte; what is no plain ASCII would spoil a log line. */
void lark__conn_reason_add(struct lark_conn *conn, struct lark_slice text)
{
    for (size_t i = 0; i < text.len && conn->reason_len < LARK_CONN_REASON_MAX; i++) {
        uint8_t byte = text.p[i];
        conn->reason[conn->reason_len++] = (char)(byte >= 0x20 && byte < 0x7f ? byte : '?');
    }
}

void lark__conn_reason_set(struct lark_conn *conn, const char *text)
{
    conn->reason_len = 0;
    lark__conn_reason_add(conn, lark__conn_text(text));
}

struct lark_slice lark_conn_reason(const struct lark_conn *conn)
{
    return (struct lark_slice){(const uint8_t *)conn->reason, conn->reason_len};
}

enum lark_status lark__conn_refused(struct lark_conn *conn, struct lark_slice bytes)
{
    size_t len = 0;
    while (len < bytes.len && bytes.p[len] != '\r') {
        len++;
    }
    if (bytes.p[0] != '-') {
        lark__conn_reason_set(conn, "Redis sent bytes nobody asked for");
        return LARK_E_PROTOCOL;
    }
    lark__conn_reason_set(conn, "Redis refused the connection: ");
    lark__conn_reason_add(conn, (struct lark_slice){bytes.p + 1, len - 1});
    return LARK_E_AWAY;
}

struct lark_slice lark__conn_digits(uint64_t n, uint8_t digits[20])
{
    size_t at = 20;
    do {
        digits[--at] = (uint8_t)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return (struct lark_slice){digits + at, 20 - at};
}

enum lark_status lark__conn_write_words(struct lark_buf *out, const struct lark_slice *words, size_t n_words)
{
    size_t len = out->len;
    enum lark_status status = lark_resp_write_array(out, n_words);
    for (size_t i = 0; i < n_words && status == LARK_OK; i++) {
        status = lark_resp_write_bulk(out, words[i]);
    }
    if (status != LARK_OK) {
        out->len = len;
    }
    return status;
}

static enum lark_status greet(struct lark_conn *conn, enum greeting greeting, const struct lark_slice *words,
                              size_t n_words)
{
    conn->greeting[conn->n_greetings++] = (uint8_t)greeting;
    return lark__conn_write_words(&conn->out, words, n_words);
}

enum lark_status lark__conn_greet(struct lark_conn *conn, const struct lark_conn_login *login)
{
    enum lark_status status = LARK_OK;
    conn->n_greetings = 0;
    conn->greetings_done = 0;
    conn->client_id = 0;
    if (login->password.len > 0) {
        struct lark_slice words[3] = {lark__conn_text("AUTH"), login->user, login->password};
        if (login->user.len == 0) {
            words[1] = login->password; /* the form of Redis 5, which knows no users */
        }
        status = greet(conn, GREETING_AUTH, words, login->user.len == 0 ? 2 : 3);
    }
    if (status == LARK_OK && login->db != 0) {
        uint8_t digits[20];
        struct lark_slice words[2] = {lark__conn_text("SELECT"), lark__conn_digits(login->db, digits)};
        status = greet(conn, GREETING_SELECT, words, 2);
    }
    if (status == LARK_OK && login->name.len > 0) {
        struct lark_slice words[3] = {lark__conn_text("CLIENT"), lark__conn_text("SETNAME"), login->name};
        status = greet(conn, GREETING_NAME, words, 3);
    }
    if (status == LARK_OK && login->wants_id) {
        struct lark_slice words[2] = {lark__conn_text("CLIENT"), lark__conn_text("ID")};
        status = greet(conn, GREETING_ID, words, 2);
    }
    return status;
}

enum lark_status lark_conn_probe(struct lark_conn *conn)
{
    assert(conn->state == LARK_CONN_READY && conn->ring_len == 0 && conn->out.len == conn->out_at);
    struct lark_slice word = lark__conn_text("PING");
    conn->n_greetings = 0;
    conn->greetings_done = 0;
    enum lark_status status = greet(conn, GREETING_PING, &word, 1);
    if (status != LARK_OK) {
        conn->n_greetings = 0;
        return status;
    }
    conn->greeting_bytes = lark__conn_stream_end(conn);
    conn->state = LARK_CONN_GREETING;
    return LARK_OK;
}

bool lark__conn_begins(struct lark_slice text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && memcmp(text.p, word, len) == 0;
}

/* Users who may not, and servers on which CLIENT was taken away: their connections have no name. */
static bool may_be_nameless(struct lark_slice error)
{
    return lark__conn_begins(error, "NOPERM") || lark__conn_begins(error, "ERR unknown command");
}

/* A wrong password or database must never go on silently: commands would run as somebody else, or in database 0. Who may
 * not ask for his id only goes without it, and any answer to a PING shows that there is somebody. */
enum lark_status lark__conn_take_greeting(struct lark_conn *conn, const struct lark_resp_event *event)
{
    enum greeting greeting = (enum greeting)conn->greeting[conn->greetings_done];
    if (greeting == GREETING_ID && event->type == LARK_RESP_INT && event->n > 0) {
        conn->client_id = (uint64_t)event->n;
    }
    if (event->type != LARK_RESP_ERROR || greeting >= GREETING_ID ||
        (greeting == GREETING_NAME && may_be_nameless(event->text))) {
        return LARK_OK;
    }
    lark__conn_reason_set(conn, "Redis refused ");
    lark__conn_reason_add(conn, lark__conn_text(greeting_words[greeting]));
    lark__conn_reason_add(conn, lark__conn_text(": "));
    lark__conn_reason_add(conn, event->text);
    return LARK_E_AWAY;
}
