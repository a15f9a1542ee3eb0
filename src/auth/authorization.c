/* authorization.c - the Authorization header. Strict: what one reader takes and another does not is refused. */
#include <lark/auth.h>
#include <lark/text.h>

#include "slices.h"

/* token68 of RFC 9110 section 11.2, which is the b64token of RFC 6750 section 2.1 */
static bool is_token68(struct lark_slice text)
{
    /* a bit for each of "+-./0-9" and, from 64 on, "A-Za-z_~" */
    static const uint64_t allowed[2] = {UINT64_C(1) << 43 | UINT64_C(0x1fff) << 45,
                                        UINT64_C(0x7fffffe) | UINT64_C(1) << 31 | UINT64_C(0x3ffffff) << 33 |
                                            UINT64_C(1) << 62};
    size_t at = 0;
    while (at < text.len && text.p[at] < 128 && (allowed[text.p[at] / 64] >> text.p[at] % 64 & 1) != 0) at++;
    if (at == 0) return false;
    while (at < text.len && text.p[at] == '=') at++;
    return at == text.len;
}

/* user:password in base64; the user's name ends at the first colon and means nothing to us. */
static enum lark_status read_basic(struct lark_slice text, uint8_t *storage, struct lark_slice *out_token,
                                   struct lark_err *err)
{
    size_t len = 0;
    if (lark_base64_decode(text, storage, &len) != LARK_OK)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "after Basic base64 of USER:TOKEN is expected");
    const uint8_t *colon = len == 0 ? NULL : memchr(storage, ':', len);
    if (colon == NULL)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "after Basic base64 of USER:TOKEN is expected");
    *out_token = lark__auth_slice(colon + 1, len - (size_t)(colon + 1 - storage));
    return LARK_OK;
}

enum lark_status lark_authorization_read(struct lark_slice header, uint8_t *storage, struct lark_authorization *out,
                                         struct lark_err *err)
{
    size_t len = 0;
    while (len < header.len && header.p[len] != ' ') len++;
    const struct lark_slice word = {header.p, len};
    struct lark_slice rest = lark__auth_from(header, len);
    out->scheme = lark__auth_is_in_any_case(word, "bearer")  ? LARK_SCHEME_BEARER
                  : lark__auth_is_in_any_case(word, "basic") ? LARK_SCHEME_BASIC
                                                             : LARK_SCHEME_OTHER;
    if (out->scheme == LARK_SCHEME_OTHER)
        return lark__auth_fail(
            err, LARK_E_BAD_CREDENTIALS,
            "the Authorization header must be \"Bearer TOKEN\", or Basic with the token as password");
    if (header.len > LARK_AUTHORIZATION_MAX)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the Authorization header is too long for a token");
    while (rest.len > 0 && rest.p[0] == ' ') rest = lark__auth_from(rest, 1);
    struct lark_slice token = rest;
    enum lark_status status = LARK_OK;
    if (out->scheme == LARK_SCHEME_BASIC) status = read_basic(rest, storage, &token, err);
    if (status != LARK_OK) return status;
    if (!is_token68(token))
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS,
                               out->scheme == LARK_SCHEME_BASIC
                                   ? "the password of Basic must be a token"
                                   : "after Bearer one token of letters, digits and - . _ ~ + / is expected");
    out->token = token;
    return LARK_OK;
}
