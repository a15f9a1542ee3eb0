/* answer.h - one HTTP/1.1 answer, read in any split; of its body only the beginning is kept. */
#ifndef LARK_FAULTS_ANSWER_H
#define LARK_FAULTS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_LINE_MAX 1024
#define ANSWER_HEAD_MAX 256

enum answer_part {
    ANSWER_FIRST_LINE,
    ANSWER_FIELDS,
    ANSWER_BODY,
    ANSWER_CHUNK_SIZE,
    ANSWER_CHUNK_END,
    ANSWER_TRAILER,
    ANSWER_DONE,
    ANSWER_BROKEN
};

/* head: the first bytes of the body, ended with NUL; last: its last two */
struct answer {
    enum answer_part part;
    int status;
    bool has_length;
    bool chunked;
    bool closes;
    uint64_t left; /* of the body, or of the chunk */
    uint64_t body_len;
    size_t head_len;
    size_t line_len;
    char last[2];
    char head[ANSWER_HEAD_MAX + 1];
    char line[ANSWER_LINE_MAX];
};

void answer_start(struct answer *answer);
/* return: bytes taken; part is ANSWER_DONE or ANSWER_BROKEN at the end */
size_t answer_feed(struct answer *answer, const char *bytes, size_t len);

#endif
