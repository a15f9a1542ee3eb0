/* test_base64.h - base64 in the tests' own words, so that the core's is not its own judge. */
#ifndef TEST_BASE64_H
#define TEST_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* A NUL-terminated text, or NULL; the caller frees it. */
char *base64_encode(const uint8_t *bytes, size_t len);

/* The bytes, at least one allocated; whatever is no digit is passed over. NULL: no memory. The caller frees them. */
uint8_t *base64_decode(const char *text, size_t len, size_t *out_len);

#endif
