#include "value_class.h"

static enum lark_status on_event(void *ctx, const struct lark_json_event *event)
{
    struct lark__object_test *test = ctx;
    if (event->depth != 1 || event->type != LARK_JSON_NAME) return LARK_OK;
    if (event->first) {
        test->members++;
        test->name_len = 0;
    }
    size_t room = sizeof test->name - test->name_len;
    size_t n = event->text.len < room ? event->text.len : room;
    if (n > 0) memcpy(test->name + test->name_len, event->text.p, n);
    test->name_len += n;
    if (event->last) {
        test->lookalike =
            test->members == 1 && lark__same(lark__slice(test->name, test->name_len), LARK_TEXT("$base64"));
    }
    return LARK_OK;
}

void lark__object_test_init(struct lark__object_test *test, const struct lark_mem *mem)
{
    test->members = 0;
    test->name_len = 0;
    test->lookalike = false;
    test->failed = false;
    lark_json_init(&test->json, mem, LARK_JSON_DEPTH_MAX, LARK_JSON_NAMES_MAX, on_event, test);
}

void lark__object_test_done(struct lark__object_test *test)
{
    lark_json_done(&test->json);
}

enum lark_status lark__object_test_feed(struct lark__object_test *test, struct lark_slice piece)
{
    if (test->failed) return LARK_OK;
    enum lark_status status = lark_json_feed(&test->json, piece);
    if (status == LARK_E_NOMEM) return status;
    test->failed = status != LARK_OK;
    return LARK_OK;
}

bool lark__object_test_end(struct lark__object_test *test)
{
    return !test->failed && lark_json_finish(&test->json) == LARK_OK && !test->lookalike;
}

void lark__classifier_init(struct lark__classifier *c, const struct lark_mem *mem, enum lark__value_kind kind,
                           uint8_t first)
{
    c->kind = kind;
    c->is_text = kind != LARK__KIND_BASE64;
    c->utf8 = (struct lark__utf8){0};
    c->testing = kind == LARK__KIND_ANY && first == '{';
    if (c->testing) lark__object_test_init(&c->object, mem);
}

void lark__classifier_done(struct lark__classifier *c)
{
    if (c->testing) lark__object_test_done(&c->object);
    c->testing = false;
}

enum lark_status lark__classifier_feed(struct lark__classifier *c, struct lark_slice piece)
{
    if (c->is_text) c->is_text = lark__utf8_feed(&c->utf8, piece);
    return c->testing ? lark__object_test_feed(&c->object, piece) : LARK_OK;
}

enum lark_value_form lark__classifier_end(struct lark__classifier *c)
{
    if (c->kind == LARK__KIND_BASE64) return LARK_FORM_BASE64;
    if (c->testing && lark__object_test_end(&c->object)) return LARK_FORM_JSON;
    return c->is_text && c->utf8.need == 0 ? LARK_FORM_TEXT : LARK_FORM_BYTES;
}
