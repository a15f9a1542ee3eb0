/* Buffers and arenas: ceilings, alignment, failing allocators, storage of the caller's. */
#include "support.h"

static void test_buf_ceiling(void **state)
{
    struct test_mem mem;
    struct lark_buf buf;
    (void)state;
    test_mem_init(&mem, NO_FAILURE);
    lark_buf_init(&buf, &mem.mem, 10, NULL, 0);
    assert_int_equal(lark_buf_append(&buf, LIT("0123456789")), LARK_OK);
    assert_int_equal(lark_buf_append(&buf, LIT("")), LARK_OK);
    assert_int_equal(lark_buf_append(&buf, LIT("x")), LARK_E_TOO_LARGE);
    assert_int_equal(lark_buf_reserve(&buf, SIZE_MAX), LARK_E_TOO_LARGE);
    assert_slice((struct lark_slice){buf.p, buf.len}, LIT("0123456789"), "unchanged");
    assert_true(buf.cap <= 10);
    lark_buf_done(&buf);
    assert_int_equal(mem.live_bytes, 0);
    lark_buf_done(&buf); /* again is nothing */
    assert_int_equal(lark_buf_append(&buf, LIT("again")), LARK_OK);
    lark_buf_done(&buf);
    assert_int_equal(mem.live_bytes, 0);
}

static void test_buf_block(void **state)
{
    struct test_mem mem;
    struct lark_buf buf;
    uint8_t block[8];
    (void)state;
    test_mem_init(&mem, NO_FAILURE);
    lark_buf_init(&buf, &mem.mem, 100, block, sizeof block);
    assert_int_equal(lark_buf_append(&buf, LIT("12345678")), LARK_OK);
    assert_int_equal(mem.n, 0);
    assert_int_equal(lark_buf_append(&buf, LIT("9")), LARK_OK); /* out of the block */
    assert_slice((struct lark_slice){buf.p, buf.len}, LIT("123456789"), "moved");
    assert_int_equal(mem.n, 1);
    lark_buf_done(&buf);
    assert_int_equal(mem.live_bytes, 0);
    lark_buf_init(&buf, &mem.mem, 4, block, sizeof block); /* a block over the ceiling */
    assert_int_equal(lark_buf_append(&buf, LIT("1234")), LARK_OK);
    assert_int_equal(lark_buf_append(&buf, LIT("5")), LARK_E_TOO_LARGE);
    lark_buf_done(&buf);
}

static void test_buf_failure(void **state)
{
    struct test_mem mem;
    struct lark_buf buf;
    (void)state;
    test_mem_init(&mem, 1);
    lark_buf_init(&buf, &mem.mem, 1000, NULL, 0);
    assert_int_equal(lark_buf_append(&buf, LIT("abc")), LARK_OK);
    assert_int_equal(lark_buf_reserve(&buf, 500), LARK_E_NOMEM);
    assert_slice((struct lark_slice){buf.p, buf.len}, LIT("abc"), "unchanged");
    lark_buf_done(&buf);
    assert_int_equal(mem.live_bytes, 0);
}

static void test_arena(void **state)
{
    struct test_mem mem;
    struct lark_arena arena;
    struct test_random random = {5};
    uint8_t *pieces[400];
    size_t sizes[400];
    uint8_t block[256];
    (void)state;
    for (int with_block = 0; with_block < 2; with_block++) {
        test_mem_init(&mem, NO_FAILURE);
        lark_arena_init(&arena, &mem.mem, 10 << 20, with_block ? block + 1 : NULL, with_block ? sizeof block - 1 : 0);
        for (size_t i = 0; i < 400; i++) {
            sizes[i] = (size_t)random_next(&random) % (i % 10 == 0 ? 5000 : 100);
            pieces[i] = lark_arena_alloc(&arena, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
            memset(pieces[i], (int)(i & 0xff), sizes[i]);
        }
        for (size_t i = 0; i < 400; i++) {
            for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(pieces[i][k], i & 0xff);
        }
        lark_arena_done(&arena);
        assert_int_equal(mem.live_bytes, 0);
        memset(block, 1, sizeof block); /* the caller's again, all of it */
    }
}

static void test_arena_ceiling(void **state)
{
    struct test_mem mem;
    struct lark_arena arena;
    uint8_t block[100];
    (void)state;
    test_mem_init(&mem, NO_FAILURE);
    lark_arena_init(&arena, &mem.mem, 0, block, sizeof block);
    assert_non_null(lark_arena_alloc(&arena, 64));
    assert_null(lark_arena_alloc(&arena, 64));
    assert_null(lark_arena_alloc(&arena, SIZE_MAX));
    assert_null(lark_arena_alloc(&arena, SIZE_MAX - 20));
    lark_arena_done(&arena);
    lark_arena_init(&arena, &mem.mem, 4096, NULL, 0);
    assert_non_null(lark_arena_alloc(&arena, 0));
    assert_null(lark_arena_alloc(&arena, 4096));
    assert_non_null(lark_arena_alloc(&arena, 1000));
    lark_arena_done(&arena);
    lark_arena_init(&arena, &mem.mem, 4096, block, 0);
    assert_non_null(lark_arena_alloc(&arena, 1));
    lark_arena_done(&arena);
    assert_int_equal(mem.live_bytes, 0);
    test_mem_init(&mem, 0);
    lark_arena_init(&arena, &mem.mem, 4096, NULL, 0);
    assert_null(lark_arena_alloc(&arena, 1));
    lark_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_ceiling), cmocka_unit_test(test_buf_block),     cmocka_unit_test(test_buf_failure),
        cmocka_unit_test(test_arena),       cmocka_unit_test(test_arena_ceiling),
    };
    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
