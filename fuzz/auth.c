/* auth.c - what strangers and operators write: an Authorization header, a tokens file. The first byte chooses; of a file the
 * second which allocation fails. */
#include "fuzz.h"

#include <lark/auth.h>

static bool inside(struct lark_slice s, const uint8_t *p, size_t n)
{
    return s.p >= p && s.p + s.len <= p + n;
}

static void check_header(struct lark_slice in)
{
    struct lark_authorization got = {.scheme = LARK_SCHEME_OTHER};
    struct lark_err err = {.status = LARK_OK};
    uint8_t *copy = fuzz_copy(in);
    uint8_t *storage = malloc(in.len + 1);
    struct lark_slice header = {copy, in.len};
    enum lark_status status = lark_authorization_read(header, storage, &got, &err);
    FUZZ_CHECK(status == LARK_OK || status == LARK_E_BAD_CREDENTIALS);
    if (status == LARK_OK) {
        FUZZ_CHECK(got.scheme != LARK_SCHEME_OTHER && got.token.len > 0 && in.len <= LARK_AUTHORIZATION_MAX);
        FUZZ_CHECK(inside(got.token, copy, in.len) || inside(got.token, storage, in.len));
        for (size_t i = 0; i < got.token.len; i++) FUZZ_CHECK(got.token.p[i] > ' ' && got.token.p[i] < 0x7f);
    } else {
        /* nothing of the header: who forgets "Bearer" has a token for a scheme */
        FUZZ_CHECK(err.status == status && err.text != NULL && err.got.len == 0 && err.name.len == 0);
    }
    free(storage);
    free(copy);
}

static void no_line_ends(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) FUZZ_CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void warned(void *ctx, const char *text)
{
    (*(size_t *)ctx)++;
    no_line_ends(text);
}

static void check_entry(const struct lark_tokens *tokens, size_t i, struct lark_slice file, uint64_t *end)
{
    const struct lark_token *token = lark_tokens_at(tokens, i);
    const struct lark_credential *c = &token->credential;
    FUZZ_CHECK(lark_tokens_find(tokens, &token->hash) == token);
    FUZZ_CHECK(c->name_len >= 1 && c->name_len <= LARK_TOKEN_NAME_MAX && c->expires_s >= 0);
    FUZZ_CHECK(c->prefix_len == 0 ||
               lark_prefix_check((struct lark_slice){(const uint8_t *)c->prefix, c->prefix_len}) == LARK_OK);
    FUZZ_CHECK(token->begin >= *end && token->begin < token->end && token->end <= lark_tokens_end(tokens));
    FUZZ_CHECK(file.p[token->begin] == '{' && file.p[token->end - 1] == '}');
    *end = token->end;
}

struct file {
    struct lark_slice bytes;
    enum lark_status whole;
};

static void read_file(void *ctx, struct fuzz_mem *mem)
{
    struct file *file = ctx;
    struct lark_tokens *tokens = NULL;
    struct lark_tokens_error error;
    size_t n_warnings = 0;
    uint64_t end = 0;
    enum lark_status status =
        lark_tokens_parse(&mem->mem, lark_catalogue_default(), file->bytes, warned, &n_warnings, &tokens, &error);
    if (status == LARK_OK) {
        FUZZ_CHECK(fuzz_is_json(file->bytes) && file->bytes.p[lark_tokens_end(tokens)] == ']');
        for (size_t i = 0; i < lark_tokens_count(tokens); i++) check_entry(tokens, i, file->bytes, &end);
    } else {
        FUZZ_CHECK(tokens == NULL && error.text[0] != '\0');
        no_line_ends(error.text);
    }
    FUZZ_CHECK(mem->failed ? status == file->whole || status == LARK_E_NOMEM : true);
    if (!mem->failed) file->whole = status;
    lark_tokens_free(tokens);
}

static void check_file(struct lark_slice in)
{
    const uint8_t choice = fuzz_byte(&in);
    uint8_t *copy = fuzz_copy(in);
    struct file file = {{copy, in.len}, LARK_OK};
    struct fuzz_mem mem;
    fuzz_mem_init(&mem, SIZE_MAX);
    read_file(&file, &mem);
    const size_t n = mem.count;
    fuzz_mem_done(&mem);
    fuzz_fail_memory(read_file, &file, n, choice);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    if (fuzz_byte(&in) & 1)
        check_file(in);
    else
        check_header(in);
    return 0;
}
