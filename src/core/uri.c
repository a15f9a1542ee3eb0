#include "uri.h"

static int hex_value(uint8_t c)
{
    uint8_t folded = lark__lower(c);
    if (lark__digit(c)) return c - '0';
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

bool lark__percent_valid(struct lark_slice raw)
{
    const uint8_t *percent;
    while (raw.len > 0 && (percent = memchr(raw.p, '%', raw.len)) != NULL) {
        raw = lark__from(raw, (size_t)(percent - raw.p));
        if (raw.len < 3 || hex_value(raw.p[1]) < 0 || hex_value(raw.p[2]) < 0) return false;
        raw = lark__from(raw, 3);
    }
    return true;
}

bool lark__percent_needed(struct lark_slice raw, bool plus_is_blank)
{
    if (raw.len == 0) return false;
    return memchr(raw.p, '%', raw.len) != NULL || (plus_is_blank && memchr(raw.p, '+', raw.len) != NULL);
}

size_t lark__percent_decode(struct lark_slice raw, bool plus_is_blank, uint8_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.p[i];
        if (c == '%') {
            c = (uint8_t)(16 * hex_value(raw.p[i + 1]) + hex_value(raw.p[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        out[len++] = c;
    }
    return len;
}

bool lark__query_next(struct lark_slice *query, struct lark_slice *name, struct lark_slice *value)
{
    while (query->len > 0) {
        const uint8_t *amp = memchr(query->p, '&', query->len);
        struct lark_slice part = lark__slice(query->p, amp ? (size_t)(amp - query->p) : query->len);
        *query = lark__from(*query, part.len + (amp ? 1 : 0));
        if (part.len == 0) continue;
        const uint8_t *equals = memchr(part.p, '=', part.len);
        *name = equals ? lark__slice(part.p, (size_t)(equals - part.p)) : part;
        *value = equals ? lark__from(part, name->len + 1) : lark__slice(part.p + part.len, 0);
        return true;
    }
    return false;
}

bool lark__query_name_is(struct lark_slice raw, struct lark_slice name)
{
    if (!lark__percent_needed(raw, true)) return lark__same(raw, name);
    uint8_t decoded[128];
    if (raw.len > sizeof decoded || !lark__percent_valid(raw)) return false;
    return lark__same(lark__slice(decoded, lark__percent_decode(raw, true, decoded)), name);
}
