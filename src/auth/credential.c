/* credential.c - what a verified credential says, whatever source it came from; and the text of a new token. */
#include <lark/auth.h>
#include <lark/json.h>
#include <lark/text.h>

#include "encodings.h"
#include "slices.h"

void lark_credential_init(struct lark_credential *credential)
{
    memset(credential, 0, sizeof(*credential));
    credential->expires_s = LARK_NEVER_S;
}

/* It goes into logs: no line of its own, no terminal's escapes. C1 controls are C2 80..9F in UTF-8. */
static bool has_control(struct lark_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < 0x20 || text.p[i] == 0x7f) return true;
        if (text.p[i] == 0xc2 && i + 1 < text.len && text.p[i + 1] < 0xa0) return true;
    }
    return false;
}

/* The writer of JSON refuses what is not UTF-8. */
static bool is_utf8(struct lark_slice text)
{
    uint8_t block[6 * LARK_TOKEN_NAME_MAX + 2];
    struct lark_buf out;
    lark_buf_init(&out, NULL, sizeof(block), block, sizeof(block));
    return lark_json_write_text(&out, text) == LARK_OK;
}

static bool read_seconds(struct lark_slice text, int64_t *out_s)
{
    int64_t seconds = 0;
    if (text.len == 0 || text.len > 12) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        seconds = seconds * 10 + (text.p[i] - '0');
    }
    *out_s = seconds;
    return true;
}

static bool read_moment(struct lark_slice text, int64_t *out_s)
{
    int64_t ms = 0;
    if (read_seconds(text, out_s)) return true;
    if (lark_time_parse(NULL, text, &ms) != LARK_OK || ms < 0) return false;
    *out_s = ms / 1000;
    return true;
}

enum lark_status lark_credential_set(struct lark_credential *credential, enum lark_credential_field field,
                                     struct lark_slice text, const char **out_expected)
{
    switch (field) {
    case LARK_CREDENTIAL_NAME:
        *out_expected = "1 to 64 bytes of UTF-8 without control characters";
        if (text.len == 0 || text.len > LARK_TOKEN_NAME_MAX || has_control(text) || !is_utf8(text))
            return LARK_E_BAD_PARAMETER;
        memcpy(credential->name, text.p, text.len);
        credential->name_len = (uint8_t)text.len;
        return LARK_OK;
    case LARK_CREDENTIAL_PREFIX:
        *out_expected = "1 to 64 of A-Z a-z 0-9 _ . -";
        if (lark_prefix_check(text) != LARK_OK) return LARK_E_BAD_PARAMETER;
        memcpy(credential->prefix, text.p, text.len);
        credential->prefix_len = (uint8_t)text.len;
        return LARK_OK;
    case LARK_CREDENTIAL_EXPIRES:
        *out_expected = "a moment with its zone, as \"2030-01-31T12:00:00Z\", or whole seconds since 1970";
        return read_moment(text, &credential->expires_s) ? LARK_OK : LARK_E_BAD_PARAMETER;
    }
    return LARK_E_INTERNAL;
}

enum lark_status lark_credential_check(const struct lark_credential *credential, int64_t now_s, bool require_prefix,
                                       struct lark_err *err)
{
    if (now_s >= credential->expires_s) return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token has expired");
    if (require_prefix && credential->prefix_len == 0 && !credential->scopes.admin)
        return lark__auth_fail(err, LARK_E_PREFIX_NEEDED, NULL);
    return LARK_OK;
}

struct lark_principal lark_credential_principal(const struct lark_credential *credential)
{
    return (struct lark_principal){.scopes = &credential->scopes,
                                   .prefix = lark__auth_slice(credential->prefix, credential->prefix_len)};
}

/* --- a new token ----------------------------------------------------------------------------------------------- */

#define ID_MAX 16

/* So that people can tell tokens apart without seeing their secrets. */
static size_t write_id(struct lark_slice name, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < name.len && len < ID_MAX; i++) {
        const uint8_t c = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (uint8_t)(name.p[i] | 0x20) : name.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out[len++] = (char)c;
    }
    if (len > 0) return len;
    memcpy(out, "token", 5);
    return 5;
}

size_t lark_token_write(struct lark_slice name, const uint8_t random[LARK_TOKEN_RANDOM_BYTES],
                        char out[LARK_TOKEN_TEXT_MAX])
{
    size_t len = 5;
    memcpy(out, "lark_", len);
    len += write_id(name, out + len);
    out[len++] = '_';
    len += lark__base32_write(lark__auth_slice(random, LARK_TOKEN_RANDOM_BYTES), out + len);
    out[len] = '\0';
    return len;
}
