/* jwt_tools.h - keys, key sets and tokens for tests. */
#ifndef LARK_TEST_JWT_TOOLS_H
#define LARK_TEST_JWT_TOOLS_H

#include "../host/base64url.h"
#include "support.h"

#include <lark/jwt.h>
#include <openssl/evp.h>

enum { BY_RSA, BY_OTHER, BY_EC, BY_ED, N_KEYS };
extern EVP_PKEY *test_keys[N_KEYS];

/* For cmocka_run_group_tests. */
int make_keys(void **state);
int free_keys(void **state);

/* The members of a JWK that hold the key. return: out */
const char *jwk(EVP_PKEY *key, char *out, size_t size);

/* A signed token. header, claims: without their braces; PS256 where the header says so. Freed by the caller */
char *token_of(EVP_PKEY *key, const char *header, const char *claims);

#endif
