/* Scores: the shortest decimal of a double that Redis printed with 17 digits, against a table made with Python's repr, and
 * against strtod for a million doubles. */
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#include "score.h"

static const struct {
    const char *redis, *shortest;
} table[] = {
#include "score_table.inc"
};

typedef enum lark_status (*append_fn)(struct lark_buf *out, struct lark_slice text);

static void check(append_fn append, const char *text, const char *want)
{
    uint8_t block[1024];
    struct lark_buf out;
    uint8_t *copy = copy_of(slice_of(text));
    lark_buf_init(&out, lark_mem_default(), sizeof block, block, sizeof block);
    enum lark_status status = append(&out, (struct lark_slice){copy, strlen(text)});
    free(copy);
    if (want == NULL) {
        assert_int_equal(status, LARK_E_PROTOCOL);
        assert_int_equal(out.len, 0);
        return;
    }
    if (status != LARK_OK) fail_msg("%s: status %d", text, status);
    assert_slice((struct lark_slice){out.p, out.len}, slice_of(want), text);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        check(lark__append_score, table[i].redis, table[i].shortest);
    }
}

static void test_forms(void **state)
{
    static const char *const rows[][2] = {
        {"1", "1.0"},
        {"-0", "-0.0"},
        {"0", "0.0"},
        {"00", "0.0"},
        {"007", "7.0"},
        {"+5", "5.0"},
        {".5", "0.5"},
        {"5.", "5.0"},
        {"1e3", "1000.0"},
        {"1E-3", "0.001"},
        {"1e16", "1e+16"},
        {"1e15", "1000000000000000.0"},
        {"0.00001", "1e-05"},
        {"inf", "\"inf\""},
        {"+inf", "\"inf\""},
        {"-inf", "\"-inf\""},
        {"Infinity", "\"inf\""},
        {"-INFINITY", "\"-inf\""},
        {"nan", "\"nan\""},
        {"-NaN", "\"nan\""},
        {"0e5", "0.0"},
        {"0.000", "0.0"},
        {"", NULL},
        {"x", NULL},
        {"1x", NULL},
        {"1e", NULL},
        {"1e+", NULL},
        {".", NULL},
        {"-", NULL},
        {"+", NULL},
        {" 1", NULL},
        {"1 ", NULL},
        {"0x1", NULL},
        {"1.2.3", NULL},
        {"--1", NULL},
        {"infin", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check(lark__append_score, rows[i][0], rows[i][1]);
}

static void test_text(void **state)
{
    static const char *const rows[][2] = {
        {"0.10000000000000001", "\"0.1\""},
        {"2", "\"2\""},
        {"-0", "\"-0\""},
        {"1.5", "\"1.5\""},
        {"1152921504606846976", "\"1152921504606846976\""},
        {"1.0000000000000001e+300", "\"1e+300\""},
        {"inf", "\"inf\""},
        {"nan", "\"nan\""},
        {"", NULL},
        {"x\"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check(lark__append_score_text, rows[i][0], rows[i][1]);
}

static void test_whole(void **state)
{
    static const char *const rows[][2] = {
        {"1.9", "1"},
        {"-1.9", "-1"},
        {"-0.5", "0"},
        {"0", "0"},
        {"-0", "0"},
        {"1e3", "1000"},
        {"1.5e1", "15"},
        {"0.1", "0"},
        {"1e-400", "0"},
        {"inf", "\"inf\""},
        {"nan", "\"nan\""},
        {"x", NULL},
        {"1e401", NULL},
        {"9007199254740993", "9007199254740993"},
        {"1e+20", "100000000000000000000"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check(lark__append_whole, rows[i][0], rows[i][1]);
}

static void test_digits(void **state)
{
    static const char *const rows[][2] = {
        {"1", "1.0"},
        {"1.50", "1.50"},
        {"-0.10", "-0.10"},
        {"1e5", "1e5"},
        {"12345678901234567890123", "12345678901234567890123.0"},
        {"inf", "\"inf\""},
        {"x", NULL},
        {"01", NULL},
        {"+1", NULL},
        {".5", NULL},
        {"5.", NULL},
        {"-.5", NULL},
        {"1.e5", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check(lark__append_digits, rows[i][0], rows[i][1]);
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

/* Digits and exponent to double: strtod is the oracle; random, near powers of two, and at both ends of the range. */
static void test_bits(void **state)
{
    struct test_random random = {42};
    (void)state;
    for (int i = 0; i < 400000; i++) {
        uint64_t digits = random_next(&random) >> (random_next(&random) % 64);
        int exponent = (int)(random_next(&random) % 720) - 380;
        char text[64];
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
        if (lark__decimal_to_bits(digits, exponent) != bits_of(strtod(text, NULL))) fail_msg("%s", text);
    }
    for (uint64_t d = 0; d < 3000; d++) { /* half way between doubles: to even */
        char text[64];
        uint64_t digits = ((uint64_t)1 << 53) + d;
        snprintf(text, sizeof text, "%llu", (unsigned long long)digits);
        assert_true(lark__decimal_to_bits(digits, 0) == bits_of(strtod(text, NULL)));
    }
}

/* What comes out reads back as the same double, and no shorter %.Ng does. */
static void test_round_trip(void **state)
{
    struct test_random random = {43};
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = random_next(&random);
        if (i % 4 == 0) bits &= ((uint64_t)1 << (random_next(&random) % 53)) - 1; /* subnormal */
        double d;
        char text[64], got[64], shorter[64];
        struct lark_buf out;
        memcpy(&d, &bits, sizeof d);
        snprintf(text, sizeof text, "%.17g", d);
        if (strpbrk(text, "ni") != NULL) continue;
        lark_buf_init(&out, lark_mem_default(), sizeof got, got, sizeof got - 1);
        assert_int_equal(lark__append_score(&out, slice_of(text)), LARK_OK);
        got[out.len] = '\0';
        if (bits_of(strtod(got, NULL)) != bits) fail_msg("%s became %s", text, got);
        size_t n = 0;
        const char *end = strpbrk(got, "e") ? strpbrk(got, "e") : got + out.len;
        size_t zeros = 0; /* at the end: they do not count */
        for (const char *c = got; c < end; c++) {
            if (*c == '.' || *c == '-' || (n + zeros == 0 && *c == '0')) continue;
            zeros = *c == '0' ? zeros + 1 : 0;
            n++;
        }
        n -= zeros;
        snprintf(shorter, sizeof shorter, "%.*g", (int)(n > 1 ? n - 2 : 0), d);
        if (n > 1 && bits_of(strtod(shorter, NULL)) == bits)
            fail_msg("%s became %s, %s is shorter", text, got, shorter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_text),   cmocka_unit_test(test_forms),
        cmocka_unit_test(test_whole),      cmocka_unit_test(test_digits), cmocka_unit_test(test_bits),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
