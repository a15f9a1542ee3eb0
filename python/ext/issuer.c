/* issuer.c - Issuer: access tokens of an OAuth issuer. Keys, answers and the time are handed in; what was good is kept for a
 * time, by its hash. JWTs that were good are forgotten with the keys that they were good by. The interpreter's lock is held, also
 * for a signature (some 100 us at most): a key set is used by one thread at a time.
 * source: RFC 9068, RFC 7662; docs/SECURITY.md, credentials */
#include <string.h>

#include <lark/jwt.h>

#include "ext.h"

#define VERIFIED_MAX 4096
#define REFUSED_MAX 1024
#define VERIFIED_MS 60000
#define KEEP_MS_MAX 60000
#define REFUSED_MS 5000
#define WARNINGS_MAX 8

/* texts:       bytes that the rules borrow
 * jwks:        NULL: none yet
 * verified:    JWTs; NULL: none are taken
 * introspected, refused: opaque tokens; NULL: none are taken
 * warnings:    list of what was odd in keys and tokens, until somebody takes it */
struct issuer_object {
    PyObject_HEAD PyObject *texts;
    PyObject *warnings;
    struct lark_jwt_rules rules;
    struct lark_hasher *hasher;
    struct lark_jwks *jwks;
    struct lark_credentials *verified;
    struct lark_credentials *introspected;
    struct lark_credentials *refused;
    uint64_t keep_ms;
    bool require_prefix;
};

static void warn(void *ctx, const char *text)
{
    struct issuer_object *self = ctx;
    if (PyList_Size(self->warnings) >= WARNINGS_MAX) return;
    PyObject *line = PyUnicode_FromString(text);
    if (line == NULL || PyList_Append(self->warnings, line) != 0) PyErr_Clear();
    Py_XDECREF(line);
}

/* --- making ---------------------------------------------------------------------------------------------------- */

static struct lark_credentials *cache(bool wanted, size_t n, bool *failed)
{
    struct lark_credentials *made = wanted ? lark_credentials_new(lark_mem_default(), n) : NULL;
    if (wanted && made == NULL) *failed = true;
    return made;
}

static int set_up(struct issuer_object *self, bool jwt, bool opaque)
{
    bool failed = false;
    self->warnings = PyList_New(0);
    self->hasher = lark_hasher_new();
    self->verified = cache(jwt, VERIFIED_MAX, &failed);
    self->introspected = cache(opaque, VERIFIED_MAX, &failed);
    self->refused = cache(opaque, REFUSED_MAX, &failed);
    if (self->warnings != NULL && self->hasher != NULL && !failed) return 0;
    PyErr_NoMemory();
    return -1;
}

static int set_rules(struct issuer_object *self, PyObject *const texts[4], int any_typ, unsigned long leeway_s)
{
    struct lark_slice slices[4];
    for (size_t i = 0; i < 4; i++) slices[i] = lark_python_slice(texts[i]);
    if (slices[0].len == 0 || slices[0].len > LARK_JWT_ISSUER_MAX || slices[1].len == 0 ||
        leeway_s > LARK_JWT_LEEWAY_MAX_S) {
        PyErr_SetString(PyExc_ValueError,
                        "an issuer has 1 to 1024 bytes, an audience one at least; a leeway of 60 s at most");
        return -1;
    }
    self->texts = PyTuple_Pack(4, texts[0], texts[1], texts[2], texts[3]);
    self->rules = (struct lark_jwt_rules){.catalogue = lark_catalogue_default(),
                                          .issuer = slices[0],
                                          .audience = slices[1],
                                          .scope_claim = slices[2],
                                          .prefix_claim = slices[3],
                                          .typ = any_typ ? LARK_JWT_TYP_ANY : LARK_JWT_TYP_ACCESS,
                                          .leeway_s = (uint32_t)leeway_s,
                                          .warn = warn,
                                          .warn_ctx = self};
    return self->texts == NULL ? -1 : 0;
}

static PyObject *issuer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"issuer", "audience", "scope_claim", "prefix_claim",   "any_typ", "leeway_s",
                            "jwt",    "opaque",   "keep_ms",     "require_prefix", NULL};
    PyObject *texts[4];
    int any_typ;
    int jwt;
    int opaque;
    int require_prefix;
    unsigned long leeway_s;
    unsigned long keep_ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SSSSpkppkp", names, &texts[0], &texts[1], &texts[2], &texts[3],
                                     &any_typ, &leeway_s, &jwt, &opaque, &keep_ms, &require_prefix))
        return NULL;
    struct issuer_object *self = (struct issuer_object *)PyType_GenericNew(type, NULL, NULL);
    if (self == NULL) return NULL;
    self->keep_ms = keep_ms < KEEP_MS_MAX ? keep_ms : KEEP_MS_MAX;
    self->require_prefix = require_prefix != 0;
    if (set_up(self, jwt != 0, opaque != 0) != 0 || set_rules(self, texts, any_typ, leeway_s) != 0) Py_CLEAR(self);
    return (PyObject *)self;
}

static void issuer_dealloc(PyObject *object)
{
    struct issuer_object *self = (struct issuer_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    lark_jwks_free(self->jwks);
    lark_credentials_free(self->verified);
    lark_credentials_free(self->introspected);
    lark_credentials_free(self->refused);
    lark_hasher_free(self->hasher);
    Py_XDECREF(self->texts);
    Py_XDECREF(self->warnings);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* --- keys ------------------------------------------------------------------------------------------------------ */

static PyObject *issuer_set_keys(PyObject *object, PyObject *file)
{
    struct issuer_object *self = (struct issuer_object *)object;
    struct lark_jwks_error error;
    struct lark_jwks *jwks = NULL;
    if (!PyBytes_Check(file)) return PyErr_Format(PyExc_TypeError, "set_keys() takes bytes, got %R", file);
    if (self->verified == NULL) return PyErr_Format(PyExc_RuntimeError, "this issuer takes no JWTs");
    enum lark_status status = lark_jwks_parse(lark_mem_default(), lark_python_slice(file), warn, self, &jwks, &error);
    if (status == LARK_E_NOMEM) return PyErr_NoMemory();
    if (status != LARK_OK) return PyErr_Format(PyExc_ValueError, "%s", error.text);
    lark_jwks_free(self->jwks);
    self->jwks = jwks;
    lark_credentials_clear(self->verified);
    return PyLong_FromSize_t(lark_jwks_count(jwks));
}

/* --- a token --------------------------------------------------------------------------------------------------- */

/* Of one call: the times, and what is found. */
struct question {
    long long now_s;
    uint64_t now_ms;
    struct lark_credential credential;
    struct lark_err err;
};

static enum lark_status fail(struct question *question, enum lark_status status, const char *text)
{
    question->err.text = text;
    return status;
}

static enum lark_status known(struct question *question, const struct lark_credential *credential)
{
    question->credential = *credential;
    return LARK_OK;
}

static enum lark_status find_jwt(struct issuer_object *self, const struct lark_python_shown *shown, bool usable,
                                 struct question *question)
{
    if (self->jwks == NULL || !usable)
        return fail(question, LARK_E_ISSUER_AWAY, "its keys were not refreshed for too long");
    const struct lark_credential *before = lark_credentials_find(self->verified, &shown->hash, question->now_ms);
    if (before != NULL) return known(question, before);
    enum lark_status status =
        lark_jwt_verify(self->jwks, &self->rules, shown->token, question->now_s, &question->credential, &question->err);
    if (status == LARK_OK)
        (void)lark_credentials_add(self->verified, &shown->hash, &question->credential, question->now_ms + VERIFIED_MS);
    return status;
}

/* return: LARK_MORE: the issuer is to be asked */
static enum lark_status find_opaque(struct issuer_object *self, const struct lark_python_shown *shown,
                                    struct question *question)
{
    const struct lark_credential *before = lark_credentials_find(self->introspected, &shown->hash, question->now_ms);
    if (before != NULL) return known(question, before);
    if (lark_credentials_find(self->refused, &shown->hash, question->now_ms) != NULL)
        return fail(question, LARK_E_BAD_CREDENTIALS, "the token is not active");
    return LARK_MORE;
}

static bool is_ours(struct lark_slice token)
{
    return token.len >= 5 && memcmp(token.p, "lark_", 5) == 0;
}

static enum lark_status find(struct issuer_object *self, struct lark_slice header, bool usable,
                             struct lark_python_shown *shown, struct question *question)
{
    enum lark_status status = lark_python_show(self->hasher, header, shown, &question->err);
    if (status != LARK_OK) return status;
    if (self->verified != NULL && lark_jwt_is(shown->token)) return find_jwt(self, shown, usable, question);
    if (self->introspected != NULL && !is_ours(shown->token)) return find_opaque(self, shown, question);
    return fail(question, LARK_E_BAD_CREDENTIALS, "the token is not known");
}

static PyObject *issuer_find(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"authorization", "now_s", "now_ms", "usable", NULL};
    struct issuer_object *self = (struct issuer_object *)object;
    struct lark_python_shown shown;
    struct question question = {.err = {.method = -1}};
    unsigned long long now_ms;
    PyObject *header;
    int usable;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SLKp", names, &header, &question.now_s, &now_ms, &usable))
        return NULL;
    question.now_ms = now_ms;
    const enum lark_status status = find(self, lark_python_slice(header), usable != 0, &shown, &question);
    PyObject *result = status == LARK_MORE ? lark_python_bytes(shown.token)
                                           : lark_python_judged(object, status, &question.err, &question.credential,
                                                                question.now_s, self->require_prefix);
    lark_python_hide(&shown);
    return result;
}

/* --- what the issuer said -------------------------------------------------------------------------------------- */

static void keep(struct issuer_object *self, enum lark_status status, const struct lark_hash *hash,
                 const struct question *question)
{
    static const struct lark_credential nobody;
    if (status == LARK_OK && self->keep_ms > 0) {
        (void)lark_credentials_add(self->introspected, hash, &question->credential, question->now_ms + self->keep_ms);
    } else if (status == LARK_E_BAD_CREDENTIALS) {
        const uint64_t ms = self->keep_ms < REFUSED_MS ? self->keep_ms : REFUSED_MS;
        (void)lark_credentials_add(self->refused, hash, &nobody, question->now_ms + ms);
    }
}

static PyObject *issuer_answer(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"token", "json", "now_s", "asked_ms", NULL};
    struct issuer_object *self = (struct issuer_object *)object;
    struct question question = {.err = {.method = -1}};
    struct lark_hash hash;
    unsigned long long asked_ms;
    PyObject *token;
    PyObject *json;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SSLK", names, &token, &json, &question.now_s, &asked_ms))
        return NULL;
    if (self->introspected == NULL) return PyErr_Format(PyExc_RuntimeError, "this issuer is not asked");
    question.now_ms = asked_ms;
    enum lark_status status = lark_hasher_hash(self->hasher, lark_python_slice(token), &hash);
    if (status == LARK_OK) {
        status = lark_claims_credential(lark_mem_default(), self->hasher, &self->rules, LARK_CLAIMS_INTROSPECTION,
                                        lark_python_slice(json), question.now_s, &question.credential, &question.err);
        keep(self, status, &hash, &question);
    }
    return lark_python_judged(object, status, &question.err, &question.credential, question.now_s,
                              self->require_prefix);
}

static PyObject *issuer_take_warnings(PyObject *object, PyObject *unused)
{
    struct issuer_object *self = (struct issuer_object *)object;
    PyObject *taken = PyList_AsTuple(self->warnings);
    (void)unused;
    if (taken != NULL && PyList_SetSlice(self->warnings, 0, PyList_Size(self->warnings), NULL) != 0) Py_CLEAR(taken);
    return taken;
}

static PyMethodDef methods[] = {
    {"set_keys", issuer_set_keys, METH_O,
     "set_keys(file) -> int: from now on these keys, so many. ValueError: the former ones stay"},
    {"find", (PyCFunction)(void (*)(void))issuer_find, METH_VARARGS | METH_KEYWORDS,
     "find(authorization, now_s, now_ms, usable) -> (Scopes, name, prefix) | (number of the error, why) | the token: "
     "ask the "
     "issuer. usable: the keys are not too old"},
    {"answer", (PyCFunction)(void (*)(void))issuer_answer, METH_VARARGS | METH_KEYWORDS,
     "answer(token, json, now_s, asked_ms): what the issuer said of a token; gives as find()"},
    {"take_warnings", issuer_take_warnings, METH_NOARGS,
     "take_warnings() -> tuple[str, ...]: what was odd since the last time"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Issuer(issuer, audience, scope_claim, prefix_claim, any_typ, leeway_s, jwt, opaque, keep_ms, require_prefix)"},
    {Py_tp_new, (void *)issuer_new},
    {Py_tp_dealloc, (void *)issuer_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec lark_python_issuer_spec = {
    .name = "lark_redis._core.Issuer",
    .basicsize = sizeof(struct issuer_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
