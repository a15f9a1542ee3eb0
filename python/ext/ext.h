/* ext.h - the parts of lark_redis._core: the core's plans and replies as Python objects. docs: python/README.md */
#ifndef LARK_PYTHON_EXT_H
#define LARK_PYTHON_EXT_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <lark/auth.h>
#include <lark/lark.h>

/* Work on more bytes than this lets other threads run. */
#define LARK_PYTHON_LARGE_BYTES 65536

/* What is the same for all requests of one mount point. */
struct config_object {
    PyObject_HEAD struct lark_config config;
    struct lark_config several; /* the same, for hosts that send several commands in one go */
    PyObject *mount;            /* bytes that config.mount borrows */
};

/* What a caller may call. */
struct scopes_object {
    PyObject_HEAD struct lark_scopes scopes;
    PyObject *unknown; /* tuple of the words that no method has */
};

struct module_state {
    PyTypeObject *config_type;
    PyTypeObject *scopes_type;
    PyTypeObject *call_type;
    PyTypeObject *tokens_type;
    PyTypeObject *issuer_type;
};

extern PyType_Spec lark_python_config_spec;
extern PyType_Spec lark_python_scopes_spec;
extern PyType_Spec lark_python_call_spec;
extern PyType_Spec lark_python_tokens_spec;
extern PyType_Spec lark_python_issuer_spec;

struct module_state *lark_python_state(PyObject *self);

static inline struct lark_slice lark_python_slice(PyObject *bytes)
{
    if (bytes == NULL) return (struct lark_slice){NULL, 0};
    return (struct lark_slice){(const uint8_t *)PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)};
}

static inline PyObject *lark_python_bytes(struct lark_slice slice)
{
    return PyBytes_FromStringAndSize((const char *)slice.p, (Py_ssize_t)slice.len);
}

/* What an Authorization header shows. token: points into the header or the storage */
struct lark_python_shown {
    struct lark_slice token;
    struct lark_hash hash;
    uint8_t storage[LARK_AUTHORIZATION_MAX];
};

/* lark_python_show - return: LARK_OK | LARK_E_BAD_CREDENTIALS | LARK_E_INTERNAL; err: as lark_authorization_read
 * lark_python_hide - when it is done with, in any case: nothing of the token is left in memory of ours but its hash. */
enum lark_status lark_python_show(struct lark_hasher *hasher, struct lark_slice header, struct lark_python_shown *out,
                                  struct lark_err *err);
void lark_python_hide(struct lark_python_shown *shown);

/* lark_python_judged - a credential that may be used as (Scopes, name, prefix), another one as (number of the error, why).
 * in: self: of the module; status: LARK_OK: whether it may be used now is checked here; err: of status, method -1 */
PyObject *lark_python_judged(PyObject *self, enum lark_status status, struct lark_err *err,
                             const struct lark_credential *credential, long long now_s, bool require_prefix);

/* A list of commands, each a list of bytes, from the RESP that the core wrote. */
PyObject *lark_python_commands(struct lark_slice resp);

/* A parsed reply of a Redis client becomes events of the shaper.
 * return: as lark_reply_event; LARK_E_INTERNAL with a Python exception set for what is no reply */
enum lark_status lark_python_shape(struct lark_reply *reply, PyObject *value);

#endif
