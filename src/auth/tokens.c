/* tokens.c - reading a tokens file. A member that is not known is refused: a misspelt "expires" would open for ever. */
#include "tokens.h"

#include <stdarg.h>
#include <stdio.h>

#include <lark/json.h>

#include "slices.h"

#define VALUE_MAX 512

enum member { NAME, SHA256, SCOPES, PREFIX, EXPIRES, N_MEMBERS };

static const char *const members[N_MEMBERS] = {"name", "sha256", "scopes", "prefix", "expires"};

/* text:   the name, string or number that is being read
 * words:  the scopes of the entry so far, joined by blanks
 * member: of the entry, N_MEMBERS before the first; seen: bits of those that had a value
 * in_list, listed: inside of "tokens"; it was there */
struct reader {
    struct lark_tokens *tokens;
    const struct lark_catalogue *catalogue;
    struct lark_slice file;
    lark_tokens_warn_fn warn;
    void *warn_ctx;
    struct lark_tokens_error *error;
    struct lark_buf text;
    struct lark_buf words;
    struct lark_token token;
    enum member member;
    unsigned seen;
    bool in_list;
    bool listed;
};

static bool has(const struct reader *reader, enum member member)
{
    return (reader->seen >> member & 1u) != 0;
}

/* "line 3, column 5: token "ci": " */
static size_t write_place(const struct reader *reader, uint64_t offset, char *out, size_t size)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < reader->file.len && i < offset; i++) {
        column = reader->file.p[i] == '\n' ? 1 : column + 1;
        line += reader->file.p[i] == '\n';
    }
    int n = snprintf(out, size, "line %zu, column %zu: ", line, column);
    if (reader->in_list && has(reader, NAME))
        n += snprintf(out + n, size - (size_t)n, "token \"%.*s\": ", (int)reader->token.credential.name_len,
                      reader->token.credential.name);
    else if (reader->in_list)
        n += snprintf(out + n, size - (size_t)n, "token %zu: ", reader->tokens->n + 1);
    return (size_t)n;
}

__attribute__((format(printf, 3, 4))) static enum lark_status refuse(struct reader *reader, uint64_t offset,
                                                                     const char *format, ...)
{
    const size_t size = sizeof(reader->error->text);
    const size_t n = write_place(reader, offset, reader->error->text, size);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reader->error->text + n, size - n, format, args);
    va_end(args);
    lark__auth_one_line(reader->error->text);
    return LARK_E_BAD_PARAMETER;
}

static struct lark_slice text_of(const struct reader *reader)
{
    return lark__auth_slice(reader->text.p, reader->text.len);
}

/* --- what an entry says ---------------------------------------------------------------------------------------- */

static void warn_scope(struct reader *reader, uint64_t offset)
{
    char text[400];
    struct lark_slice near[3];
    if (reader->warn == NULL) return;
    const size_t n_near = lark_scopes_near(reader->catalogue, text_of(reader), near, 3);
    size_t n = write_place(reader, offset, text, sizeof(text));
    n += (size_t)snprintf(text + n, sizeof(text) - n, "there is no scope \"%.*s%s\": it matches nothing",
                          (int)(reader->text.len > 64 ? 64 : reader->text.len), (const char *)reader->text.p,
                          reader->text.len > 64 ? "..." : "");
    for (size_t i = 0; i < n_near && n < sizeof(text); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i == 0 ? "; did you mean " : ", ", (int)near[i].len,
                              (const char *)near[i].p);
    lark__auth_one_line(text);
    reader->warn(reader->warn_ctx, text);
}

static enum lark_status take_scope(struct reader *reader, uint64_t offset)
{
    if (lark_scopes_add(reader->catalogue, text_of(reader), &reader->token.credential.scopes) != LARK_OK)
        warn_scope(reader, offset);
    enum lark_status status = LARK_OK;
    if (reader->words.len > 0) status = lark_buf_append(&reader->words, lark__auth_text(" "));
    return status == LARK_OK ? lark_buf_append(&reader->words, text_of(reader)) : status;
}

static enum lark_status take_text(struct reader *reader, uint64_t offset)
{
    static const enum lark_credential_field fields[N_MEMBERS] = {
        [NAME] = LARK_CREDENTIAL_NAME, [PREFIX] = LARK_CREDENTIAL_PREFIX, [EXPIRES] = LARK_CREDENTIAL_EXPIRES};
    const char *expected = NULL;
    if (reader->member == SHA256) {
        if (lark_hash_parse(text_of(reader), &reader->token.hash) != LARK_OK)
            return refuse(reader, offset, "\"sha256\" must be the 64 hexadecimal digits of the token's SHA-256");
    } else if (lark_credential_set(&reader->token.credential, fields[reader->member], text_of(reader), &expected) !=
               LARK_OK) {
        return refuse(reader, offset, "\"%s\" must be %s", members[reader->member], expected);
    }
    reader->seen |= 1u << reader->member;
    return LARK_OK;
}

static enum lark_status end_entry(struct reader *reader, uint64_t end)
{
    for (enum member i = NAME; i <= SCOPES; i++)
        if (!has(reader, i)) return refuse(reader, reader->token.begin, "\"%s\" is missing", members[i]);
    char *words = lark_arena_alloc(&reader->tokens->texts, reader->words.len + 1);
    if (words == NULL) return LARK_E_NOMEM;
    if (reader->words.len > 0) memcpy(words, reader->words.p, reader->words.len);
    reader->token.scopes = lark__auth_slice(words, reader->words.len);
    reader->token.end = end;
    const enum lark_status status = lark__tokens_add(reader->tokens, &reader->token);
    if (status == LARK_E_TOO_LARGE)
        return refuse(reader, reader->token.begin, "a file may have %d tokens at most", LARK_TOKENS_MAX);
    reader->seen = 0;
    return status;
}

/* --- the reader's events --------------------------------------------------------------------------------------- */

/* The piece of a name, string or number: is it whole now? */
static enum lark_status gather(struct reader *reader, const struct lark_json_event *event, bool *out_whole)
{
    if (event->first) reader->text.len = 0;
    const enum lark_status status = lark_buf_append(&reader->text, event->text);
    if (status == LARK_E_TOO_LARGE)
        return refuse(reader, event->offset, "a text of more than %d bytes is none of a token's", VALUE_MAX);
    *out_whole = event->last;
    return status;
}

static enum lark_status take_member_name(struct reader *reader, uint64_t offset)
{
    for (enum member i = NAME; i < N_MEMBERS; i++) {
        if (!lark__auth_is(text_of(reader), members[i])) continue;
        reader->member = i;
        return LARK_OK;
    }
    return refuse(reader, offset,
                  "there is no member \"%.*s\": an entry has \"name\", \"sha256\", \"scopes\", \"prefix\", \"expires\"",
                  (int)(reader->text.len > 32 ? 32 : reader->text.len), (const char *)reader->text.p);
}

static enum lark_status bad_value(struct reader *reader, uint64_t offset)
{
    static const char *const expected[N_MEMBERS] = {"a string", "a string", "an array of scope words",
                                                    "a string or null", "a string, whole seconds since 1970, or null"};
    return refuse(reader, offset, "\"%s\" must be %s", members[reader->member], expected[reader->member]);
}

/* "scopes": the ends of the list, at depth 3, and its words, at depth 4. */
static enum lark_status take_scopes(struct reader *reader, const struct lark_json_event *event)
{
    bool whole = false;
    if (event->depth == 4 && event->type == LARK_JSON_STRING) {
        const enum lark_status status = gather(reader, event, &whole);
        return status == LARK_OK && whole ? take_scope(reader, event->offset) : status;
    }
    if (event->depth == 3 && event->type == LARK_JSON_ARRAY) return LARK_OK;
    if (event->depth != 3 || event->type != LARK_JSON_ARRAY_END) return bad_value(reader, event->offset);
    reader->seen |= 1u << SCOPES;
    return LARK_OK;
}

/* A value of an entry, at depth 3. */
static enum lark_status take_value(struct reader *reader, const struct lark_json_event *event)
{
    bool whole = false;
    if (reader->member == SCOPES) return take_scopes(reader, event);
    if (event->type == LARK_JSON_NULL && reader->member >= PREFIX) return LARK_OK;
    const bool number = event->type == LARK_JSON_NUMBER && reader->member == EXPIRES;
    if (event->type != LARK_JSON_STRING && !number) return bad_value(reader, event->offset);
    const enum lark_status status = gather(reader, event, &whole);
    return status == LARK_OK && whole ? take_text(reader, event->offset) : status;
}

/* The list's own ends are at depth 1, an entry's at depth 2. */
static enum lark_status take_in_list(struct reader *reader, const struct lark_json_event *event)
{
    bool whole = false;
    if (event->depth == 1) {
        reader->in_list = false;
        reader->tokens->end = event->offset;
        return LARK_OK;
    }
    if (event->depth == 2 && event->type == LARK_JSON_OBJECT) {
        memset(&reader->token, 0, sizeof(reader->token));
        lark_credential_init(&reader->token.credential);
        reader->token.begin = event->offset;
        reader->words.len = 0;
        return LARK_OK;
    }
    if (event->depth == 2 && event->type == LARK_JSON_OBJECT_END) return end_entry(reader, event->end);
    if (event->depth == 2) return refuse(reader, event->offset, "an entry must be an object");
    if (event->type != LARK_JSON_NAME) return take_value(reader, event);
    const enum lark_status status = gather(reader, event, &whole);
    return status == LARK_OK && whole ? take_member_name(reader, event->offset) : status;
}

static enum lark_status take_event(void *ctx, const struct lark_json_event *event)
{
    struct reader *reader = ctx;
    bool whole = false;
    if (reader->in_list) return take_in_list(reader, event);
    if (event->depth == 0) {
        if (event->type == LARK_JSON_OBJECT) return LARK_OK;
        if (event->type != LARK_JSON_OBJECT_END) return refuse(reader, event->offset, "expected {\"tokens\": [...]}");
        return reader->listed ? LARK_OK : refuse(reader, event->offset, "\"tokens\" is missing");
    }
    if (event->type == LARK_JSON_NAME) {
        const enum lark_status status = gather(reader, event, &whole);
        if (status != LARK_OK || !whole || lark__auth_is(text_of(reader), "tokens")) return status;
        return refuse(reader, event->offset, "there is no member \"%.*s\" beside \"tokens\"",
                      (int)(reader->text.len > 32 ? 32 : reader->text.len), (const char *)reader->text.p);
    }
    if (event->type != LARK_JSON_ARRAY) return refuse(reader, event->offset, "\"tokens\" must be an array");
    reader->in_list = true;
    reader->listed = true;
    return LARK_OK;
}

/* --- the file -------------------------------------------------------------------------------------------------- */

static enum lark_status read_json(struct reader *reader, const struct lark_mem *mem)
{
    struct lark_json json;
    lark_json_init(&json, mem, 8, LARK_JSON_NAMES_MAX, take_event, reader);
    enum lark_status status = lark_json_feed(&json, reader->file);
    if (status == LARK_OK) status = lark_json_finish(&json);
    if (status == LARK_E_BAD_JSON) {
        const char *what = lark_json_error(&json);
        (void)refuse(reader, lark_json_offset(&json), "not valid JSON: %s", what == NULL ? "unexpected text" : what);
    }
    lark_json_done(&json);
    return status;
}

static enum lark_status index_all(struct reader *reader)
{
    size_t first = 0;
    size_t second = 0;
    bool same_hash = false;
    const enum lark_status status = lark__tokens_index(reader->tokens, &first, &second, &same_hash);
    if (status != LARK_E_BAD_PARAMETER) return status;
    const struct lark_token *a = &reader->tokens->list[first];
    const struct lark_token *b = &reader->tokens->list[second];
    reader->in_list = false;
    return refuse(reader, b->begin, "token \"%.*s\": its %s is that of \"%.*s\", entry %zu, too",
                  (int)b->credential.name_len, b->credential.name, same_hash ? "\"sha256\"" : "\"name\"",
                  (int)a->credential.name_len, a->credential.name, first + 1);
}

enum lark_status lark_tokens_parse(const struct lark_mem *mem, const struct lark_catalogue *catalogue,
                                   struct lark_slice file, lark_tokens_warn_fn warn, void *warn_ctx,
                                   struct lark_tokens **out_tokens, struct lark_tokens_error *out_error)
{
    struct reader reader = {.catalogue = catalogue, .file = file, .warn = warn, .warn_ctx = warn_ctx};
    enum lark_status status = LARK_E_NOMEM;
    reader.error = out_error;
    reader.member = N_MEMBERS;
    out_error->text[0] = '\0';
    if (file.len > LARK_TOKENS_FILE_MAX) {
        (void)snprintf(out_error->text, sizeof(out_error->text), "a tokens file may have %zu bytes at most",
                       LARK_TOKENS_FILE_MAX);
        return LARK_E_TOO_LARGE;
    }
    lark_buf_init(&reader.text, mem, VALUE_MAX, NULL, 0);
    lark_buf_init(&reader.words, mem, LARK_TOKENS_FILE_MAX, NULL, 0);
    reader.tokens = lark__tokens_new(mem);
    if (reader.tokens != NULL) status = read_json(&reader, mem);
    if (status == LARK_OK) status = index_all(&reader);
    lark_buf_done(&reader.text);
    lark_buf_done(&reader.words);
    if (status == LARK_OK) {
        *out_tokens = reader.tokens;
        return LARK_OK;
    }
    lark_tokens_free(reader.tokens);
    if (out_error->text[0] == '\0')
        (void)snprintf(out_error->text, sizeof(out_error->text), "%s", lark_error_row(status)->message);
    return status;
}
