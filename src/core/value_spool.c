#include "value_spool.h"

#include "shape.h"

bool lark__spool_wants(const struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    if (reply->spool == NULL || (uint64_t)leaf->n <= reply->spool->over_bytes) return false;
    return lark__shape_value_kind(reply, leaf) != LARK__KIND_NONE;
}

enum lark_status lark__spool_begin(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    enum lark__value_kind kind = lark__shape_value_kind(reply, leaf);
    if (reply->plan->values == LARK_VALUES_BASE64) kind = LARK__KIND_BASE64;
    if (reply->plan->values == LARK_VALUES_TEXT && kind == LARK__KIND_ANY) kind = LARK__KIND_PLAIN;
    struct lark__classifier *classifier = reply->mem->alloc(reply->mem->ctx, sizeof *classifier);
    if (classifier == NULL) return LARK_E_NOMEM;
    lark__classifier_init(classifier, reply->mem, kind, leaf->text.p[0]);
    reply->classifier = classifier;
    reply->spooling = true;
    return LARK_OK;
}

enum lark_status lark__spool_piece(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    enum lark_status status = lark__classifier_feed(reply->classifier, leaf->text);
    if (status == LARK_OK) status = reply->spool->append(reply->spool->ctx, leaf->text);
    if (status != LARK_OK) return status;
    if (!leaf->last) return LARK_MORE;
    enum lark_value_form form = lark__classifier_end(reply->classifier);
    lark__spool_done(reply);
    status = reply->spool->settle(reply->spool->ctx, form);
    return status == LARK_OK ? reply->after_value : status;
}

void lark__spool_done(struct lark_reply *reply)
{
    reply->spooling = false;
    if (reply->classifier == NULL) return;
    lark__classifier_done(reply->classifier);
    reply->mem->free(reply->mem->ctx, reply->classifier, sizeof *reply->classifier);
    reply->classifier = NULL;
}
