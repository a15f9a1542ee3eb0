#include "token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lark/json.h>
#include <lark/text.h>

#include "clock.h"
#include "files.h"
#include "text.h"
#include "token_settings.h"

#define LOCK_MS 10000

static bool say_error(const struct lark_token_file *file, const char *what, int error)
{
    lark__cli_say("%s %s: %s", file->path, what, strerror(error));
    return false;
}

/* A link is followed once, here: the file that it names is the one that is replaced. */
static bool find(struct lark_token_file *file, const char *path)
{
    char canonical[PATH_MAX];
    const char *absolute = lark__file_absolute(file->arena, path);
    if (realpath(absolute, canonical) != NULL) absolute = lark__cli_format(file->arena, "%s", canonical);
    file->path = absolute;
    const char *slash = strrchr(absolute, '/');
    file->name = slash + 1;
    const char *folder =
        slash == absolute ? "/" : lark__cli_format(file->arena, "%.*s", (int)(slash - absolute), absolute);
    file->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file->dir_fd >= 0 || say_error(file, "cannot be reached", errno);
}

/* Whose it is stays, and that others may read it: the server may run as somebody else. Hashes are no secret. */
static bool look(struct lark_token_file *file, bool change)
{
    struct stat st;
    file->mode = 0600;
    file->uid = geteuid();
    file->gid = getegid();
    if (fstatat(file->dir_fd, file->name, &st, 0) != 0) {
        if (errno == ENOENT && change) return true;
        return say_error(file, "cannot be read", errno);
    }
    file->mode = 0600 | (st.st_mode & (S_IRGRP | S_IROTH));
    file->uid = st.st_uid;
    file->gid = st.st_gid;
    const int error = lark__file_read(file->arena, file->path, LARK_TOKENS_FILE_MAX, &file->bytes);
    return error == 0 || say_error(file, "cannot be read", error);
}

/* Of the folder: the file is replaced. Anybody who may read it can hold the lock: nobody waits for ever. */
static bool lock(struct lark_token_file *file)
{
    const int64_t deadline_ms = lark__clock_ms() + LOCK_MS;
    while (flock(file->dir_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return say_error(file, "cannot be locked", errno);
        if (lark__clock_ms() > deadline_ms)
            return say_error(file, "cannot be changed: somebody holds a lock on its folder (flock)", errno);
        (void)poll(NULL, 0, 20);
    }
    return true;
}

bool lark__token_file_open(struct lark_arena *arena, const char *path, bool change, struct lark_token_file *out_file)
{
    struct lark_token_file file = {.arena = arena, .dir_fd = -1};
    bool good = find(&file, path);
    if (good && change) good = lock(&file);
    good = good && look(&file, change);
    const bool fresh = good && file.bytes.len == 0;
    if (fresh) file.bytes = lark__cli_slice("{\"tokens\": [\n]}\n");
    if (good) file.tokens = lark__tokens_read(file.path, file.bytes);
    good = good && file.tokens != NULL;
    if (good)
        *out_file = file;
    else
        lark__token_file_close(&file);
    return good;
}

void lark__token_file_close(struct lark_token_file *file)
{
    lark_tokens_free(file->tokens);
    file->tokens = NULL;
    if (file->dir_fd >= 0) close(file->dir_fd);
    file->dir_fd = -1;
}

/* --- changes --------------------------------------------------------------------------------------------------- */

static void append(struct lark_buf *out, struct lark_slice bytes)
{
    if (lark_buf_append(out, bytes) == LARK_OK) return;
    lark__cli_say("out of memory");
    exit(EXIT_FAILURE);
}

static void append_json(struct lark_buf *out, struct lark_slice text)
{
    if (lark_json_write_text(out, text) == LARK_OK) return;
    lark__cli_say("out of memory"); /* it was checked to be UTF-8 */
    exit(EXIT_FAILURE);
}

static void append_optional(struct lark_buf *out, const char *member, struct lark_slice text)
{
    append(out, lark__cli_slice(member));
    if (text.len == 0)
        append(out, lark__cli_slice("null"));
    else
        append_json(out, text);
}

void lark__token_entry(struct lark_buf *out, const struct lark_new_token *token)
{
    char digits[65];
    char moment[32] = "";
    struct lark_buf expires;
    struct lark_slice word;
    size_t at = 0;
    lark_hash_write(&token->hash, digits);
    append(out, lark__cli_slice("{\"name\": "));
    append_json(out, (struct lark_slice){(const uint8_t *)token->credential.name, token->credential.name_len});
    append(out, lark__cli_slice(", \"sha256\": "));
    append_json(out, lark__cli_slice(digits));
    append(out, lark__cli_slice(", \"scopes\": ["));
    for (bool first = true; lark__cli_word(token->scopes, &at, &word); first = false) {
        if (!first) append(out, lark__cli_slice(", "));
        append_json(out, word);
    }
    append_optional(out, "], \"prefix\": ",
                    (struct lark_slice){(const uint8_t *)token->credential.prefix, token->credential.prefix_len});
    lark_buf_init(&expires, lark_mem_default(), sizeof(moment), moment, sizeof(moment));
    if (token->credential.expires_s != LARK_NEVER_S &&
        lark_time_write(&expires, token->credential.expires_s) != LARK_OK)
        expires.len = 0;
    append_optional(out, ", \"expires\": ", (struct lark_slice){expires.p, expires.len});
    append(out, lark__cli_slice("}"));
}

static struct lark_slice part(const struct lark_token_file *file, uint64_t from, uint64_t to)
{
    return (struct lark_slice){file->bytes.p + from, (size_t)(to - from)};
}

/* What comes out is read once more before it takes the file's place: an entry is never added to, or left behind in, a file
 * that the server then refuses. */
static bool replace(const struct lark_token_file *file, const struct lark_buf *text)
{
    const struct lark_slice bytes = {text->p, text->len};
    struct lark_tokens *again = lark__tokens_read(file->path, bytes);
    if (again == NULL) return false;
    lark_tokens_free(again);
    const int error = lark__file_replace(file->dir_fd, file->name, file->mode, file->uid, file->gid, bytes);
    return error == 0 || say_error(file, "cannot be written", error);
}

bool lark__token_file_add(struct lark_token_file *file, const struct lark_new_token *token)
{
    struct lark_buf text;
    const size_t n = lark_tokens_count(file->tokens);
    const uint64_t end = lark_tokens_end(file->tokens);
    const uint64_t at = n == 0 ? end : lark_tokens_at(file->tokens, n - 1)->end;
    lark_buf_init(&text, lark_mem_default(), LARK_TOKENS_FILE_MAX, NULL, 0);
    append(&text, part(file, 0, at));
    append(&text, lark__cli_slice(n == 0 ? "  " : ",\n  "));
    lark__token_entry(&text, token);
    append(&text, lark__cli_slice(n == 0 ? "\n" : ""));
    append(&text, part(file, at, file->bytes.len));
    const bool good = replace(file, &text);
    lark_buf_done(&text);
    return good;
}

bool lark__token_file_remove(struct lark_token_file *file, size_t index)
{
    struct lark_buf text;
    const size_t n = lark_tokens_count(file->tokens);
    const struct lark_token *token = lark_tokens_at(file->tokens, index);
    /* with the comma before it, or behind the first */
    const uint64_t from = index > 0 ? lark_tokens_at(file->tokens, index - 1)->end : token->begin;
    const uint64_t to = index == 0 && n > 1 ? lark_tokens_at(file->tokens, 1)->begin : token->end;
    lark_buf_init(&text, lark_mem_default(), LARK_TOKENS_FILE_MAX, NULL, 0);
    append(&text, part(file, 0, from));
    append(&text, part(file, to, file->bytes.len));
    const bool good = replace(file, &text);
    lark_buf_done(&text);
    return good;
}

size_t lark__token_file_find(const struct lark_token_file *file, const char *name)
{
    const size_t n = lark_tokens_count(file->tokens);
    for (size_t i = 0; i < n; i++) {
        const struct lark_credential *credential = &lark_tokens_at(file->tokens, i)->credential;
        if (lark__cli_is((struct lark_slice){(const uint8_t *)credential->name, credential->name_len}, name)) return i;
    }
    return n;
}
