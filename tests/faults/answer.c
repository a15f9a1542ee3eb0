#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void answer_start(struct answer *answer)
{
    memset(answer, 0, offsetof(struct answer, line));
}

static void field(struct answer *answer)
{
    static const char length[] = "content-length:";
    static const char encoding[] = "transfer-encoding: chunked";
    static const char closing[] = "connection: close";
    const char *line = answer->line;
    if (strncasecmp(line, length, sizeof length - 1) == 0) {
        answer->has_length = true;
        answer->left = strtoull(line + sizeof length - 1, NULL, 10);
    } else if (strcasecmp(line, encoding) == 0) {
        answer->chunked = true;
    } else if (strcasecmp(line, closing) == 0) {
        answer->closes = true;
    }
}

static enum answer_part after_fields(const struct answer *answer)
{
    if (answer->status < 200) return ANSWER_BROKEN; /* we ask for none of these */
    if (answer->chunked) return ANSWER_CHUNK_SIZE;
    if (!answer->has_length) return ANSWER_BROKEN;
    return answer->left > 0 ? ANSWER_BODY : ANSWER_DONE;
}

static enum answer_part take_line(struct answer *answer)
{
    switch (answer->part) {
    case ANSWER_FIRST_LINE:
        if (strncmp(answer->line, "HTTP/1.1 ", 9) != 0) return ANSWER_BROKEN;
        answer->status = (int)strtol(answer->line + 9, NULL, 10);
        return ANSWER_FIELDS;
    case ANSWER_FIELDS:
        if (answer->line_len == 0) return after_fields(answer);
        field(answer);
        return ANSWER_FIELDS;
    case ANSWER_CHUNK_SIZE: {
        char *end = NULL;
        answer->left = strtoull(answer->line, &end, 16);
        if (end == answer->line || *end != '\0') return ANSWER_BROKEN;
        return answer->left > 0 ? ANSWER_BODY : ANSWER_TRAILER;
    }
    case ANSWER_CHUNK_END: return answer->line_len == 0 ? ANSWER_CHUNK_SIZE : ANSWER_BROKEN;
    case ANSWER_TRAILER: return answer->line_len == 0 ? ANSWER_DONE : ANSWER_TRAILER;
    case ANSWER_BODY:
    case ANSWER_DONE:
    case ANSWER_BROKEN: break;
    }
    return ANSWER_BROKEN;
}

/* return: bytes taken, the end of the line included */
static size_t line_feed(struct answer *answer, const char *bytes, size_t len)
{
    const char *end = memchr(bytes, '\n', len);
    const size_t n = end == NULL ? len : (size_t)(end - bytes);
    if (n > sizeof answer->line - 1 - answer->line_len) {
        answer->part = ANSWER_BROKEN;
        return len;
    }
    memcpy(answer->line + answer->line_len, bytes, n);
    answer->line_len += n;
    if (end == NULL) return n;
    if (answer->line_len == 0 || answer->line[answer->line_len - 1] != '\r') {
        answer->part = ANSWER_BROKEN;
        return n + 1;
    }
    answer->line[--answer->line_len] = '\0';
    answer->part = take_line(answer);
    answer->line_len = 0;
    return n + 1;
}

static size_t body_feed(struct answer *answer, const char *bytes, size_t len)
{
    const size_t n = answer->left < len ? (size_t)answer->left : len;
    const size_t room = ANSWER_HEAD_MAX - answer->head_len;
    const size_t kept = n < room ? n : room;
    memcpy(answer->head + answer->head_len, bytes, kept);
    answer->head_len += kept;
    answer->head[answer->head_len] = '\0';
    if (n == 1) answer->last[0] = answer->last[1];
    if (n > 1) answer->last[0] = bytes[n - 2];
    answer->last[1] = bytes[n - 1];
    answer->body_len += n;
    answer->left -= n;
    if (answer->left == 0) answer->part = answer->chunked ? ANSWER_CHUNK_END : ANSWER_DONE;
    return n;
}

size_t answer_feed(struct answer *answer, const char *bytes, size_t len)
{
    size_t used = 0;
    while (used < len && answer->part != ANSWER_DONE && answer->part != ANSWER_BROKEN) {
        used += answer->part == ANSWER_BODY ? body_feed(answer, bytes + used, len - used)
                                            : line_feed(answer, bytes + used, len - used);
    }
    return used;
}
