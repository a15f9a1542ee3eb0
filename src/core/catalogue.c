/* catalogue.c - finding methods by their words, and scopes. */
#include "catalogue.h"

#include "catalogue.inc"

const struct lark_catalogue *lark_catalogue_default(void)
{
    return &lark__catalogue_default;
}

size_t lark_catalogue_count(const struct lark_catalogue *catalogue)
{
    return catalogue->n_methods;
}

struct lark_slice lark_catalogue_name(const struct lark_catalogue *catalogue, size_t index)
{
    return catalogue->methods[index].name;
}

/* The same as tools/catalogue.py, hash_word: FNV-1a over upper-case letters. */
static uint32_t hash_more(uint32_t h, struct lark_slice text)
{
    for (size_t i = 0; i < text.len; i++) h = (h ^ lark__upper(text.p[i])) * 16777619u;
    return h;
}

const struct lark_word *lark__find_word(const struct lark_catalogue *catalogue, struct lark_slice first,
                                        struct lark_slice second)
{
    /* a slash in a segment was %2F: it is no boundary of words */
    if (first.len > 0 && memchr(first.p, '/', first.len) != NULL) return NULL;
    uint32_t h = hash_more(catalogue->hash_seed, first);
    if (second.len > 0) h = hash_more(hash_more(h, LARK_TEXT("/")), second);
    uint8_t slot = catalogue->slots[(h ^ h >> 15) & (LARK_SLOTS - 1)];
    if (slot == 0) return NULL;
    const struct lark_word *word = &catalogue->words[slot - 1];
    size_t len = first.len + (second.len > 0 ? 1 + second.len : 0);
    if (word->text.len != len || !lark__same_fold(lark__slice(word->text.p, first.len), first)) return NULL;
    if (second.len == 0) return word;
    if (word->text.p[first.len] != '/') return NULL;
    return lark__same_fold(lark__from(word->text, first.len + 1), second) ? word : NULL;
}

/* --- scopes ---------------------------------------------------------------------------------------------------- */

enum lark_status lark_scopes_add(const struct lark_catalogue *catalogue, struct lark_slice word,
                                 struct lark_scopes *scopes)
{
    for (size_t i = 0; i < catalogue->n_scopes; i++) {
        if (!lark__same(catalogue->scopes[i].word, word)) continue;
        for (size_t k = 0; k < LARK_METHODS_MAX / 64; k++) scopes->methods[k] |= catalogue->scopes[i].methods[k];
        scopes->admin |= lark__same(word, LARK_TEXT("admin"));
        scopes->metrics |= scopes->admin || lark__same(word, LARK_TEXT("read:metrics"));
        return LARK_OK;
    }
    return LARK_E_UNKNOWN_SCOPE;
}

/* Of "admin, write:* or write:set" the word that gives the least: a method's own, else a family, else admin. */
struct lark_slice lark_catalogue_scope(const struct lark_catalogue *catalogue, size_t index)
{
    struct lark_slice rest = lark__text(catalogue->methods[index].scopes);
    struct lark_slice best = LARK_TEXT("admin");
    while (rest.len > 0) {
        size_t len = 0;
        while (len < rest.len && rest.p[len] != ' ' && rest.p[len] != ',') len++;
        struct lark_slice word = lark__slice(rest.p, len);
        rest = lark__from(rest, len < rest.len ? len + 1 : len);
        if (word.len == 0 || memchr(word.p, ':', word.len) == NULL) continue;
        bool own = word.p[word.len - 1] != '*';
        if (own || lark__same(best, LARK_TEXT("admin"))) best = word;
        if (own) break;
    }
    return best;
}

enum lark_status lark_prefix_check(struct lark_slice prefix)
{
    if (prefix.len == 0 || prefix.len > 64) return LARK_E_BAD_PREFIX;
    for (size_t i = 0; i < prefix.len; i++) {
        uint8_t c = prefix.p[i];
        bool letter = lark__lower(c) >= 'a' && lark__lower(c) <= 'z';
        if (!letter && !lark__digit(c) && c != '_' && c != '.' && c != '-') return LARK_E_BAD_PREFIX;
    }
    return LARK_OK;
}

/* --- near names, for messages ---------------------------------------------------------------------------------- */

#define NEAR_LEN 32
#define NEAR_MAX 3

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace; a swap of neighbours counts one) from a to b, in any case of letters. */
static size_t distance(struct lark_slice a, struct lark_slice b)
{
    size_t rows[3][NEAR_LEN + 1];
    if (a.len > NEAR_LEN || b.len > NEAR_LEN) return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *up = rows[(i - 1) % 3];
        const size_t *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = lark__lower(a.p[i - 1]) == lark__lower(b.p[j - 1]);
            row[j] = least(least(up[j], row[j - 1]) + 1, up[j - 1] + !same);
            bool swapped = i > 1 && j > 1 && lark__lower(a.p[i - 1]) == lark__lower(b.p[j - 2]) &&
                           lark__lower(a.p[i - 2]) == lark__lower(b.p[j - 1]);
            if (swapped) row[j] = least(row[j], up2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

struct nearest {
    struct lark_slice *out;
    size_t distances[NEAR_MAX];
    size_t n, max;
};

/* Keeps the best, in order. */
static void consider(struct nearest *nearest, struct lark_slice text, struct lark_slice word)
{
    size_t d = distance(text, word);
    if (d > 1 + text.len / 4) return;
    size_t at = nearest->n;
    while (at > 0 && nearest->distances[at - 1] > d) at--;
    if (at >= nearest->max) return;
    if (nearest->n < nearest->max) nearest->n++;
    for (size_t i = nearest->n - 1; i > at; i--) {
        nearest->out[i] = nearest->out[i - 1];
        nearest->distances[i] = nearest->distances[i - 1];
    }
    nearest->out[at] = word;
    nearest->distances[at] = d;
}

size_t lark__near_words(const struct lark_catalogue *catalogue, struct lark_slice text, struct lark_slice *out,
                        size_t max)
{
    struct nearest nearest = {.out = out, .max = least(max, NEAR_MAX)};
    for (size_t i = 0; i < catalogue->n_words; i++) {
        if (!catalogue->words[i].container) consider(&nearest, text, catalogue->words[i].text);
    }
    return nearest.n;
}

size_t lark_scopes_near(const struct lark_catalogue *catalogue, struct lark_slice word, struct lark_slice *out_words,
                        size_t max)
{
    struct nearest nearest = {.out = out_words, .max = least(max, NEAR_MAX)};
    for (size_t i = 0; i < catalogue->n_scopes; i++) consider(&nearest, word, catalogue->scopes[i].word);
    return nearest.n;
}
