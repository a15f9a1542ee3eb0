#include "ext.h"

/* Errors that only a host can see: it names them by these numbers. */
static const struct {
    const char *name;
    enum lark_status status;
} errors[] = {
    {"BAD_REQUEST", LARK_E_BAD_REQUEST},
    {"MISSING_HOST", LARK_E_MISSING_HOST},
    {"BAD_HEADER", LARK_E_BAD_HEADER},
    {"BAD_PARAMETER", LARK_E_BAD_PARAMETER},
    {"FOREIGN_HOST", LARK_E_FOREIGN_HOST},
    {"FOREIGN_ORIGIN", LARK_E_FOREIGN_ORIGIN},
    {"ENCODING", LARK_E_ENCODING},
    {"CREDENTIALS", LARK_E_CREDENTIALS},
    {"BAD_CREDENTIALS", LARK_E_BAD_CREDENTIALS},
    {"UNKNOWN_KEY", LARK_E_UNKNOWN_KEY},
    {"ISSUER_AWAY", LARK_E_ISSUER_AWAY},
    {"SCOPE", LARK_E_SCOPE},
    {"TOO_LARGE", LARK_E_TOO_LARGE},
    {"TOO_MANY", LARK_E_TOO_MANY},
    {"INTERNAL", LARK_E_INTERNAL},
    {"PROTOCOL", LARK_E_PROTOCOL},
    {"REPLY_TOO_LARGE", LARK_E_REPLY_TOO_LARGE},
    {"AWAY", LARK_E_AWAY},
    {"LOST", LARK_E_LOST},
    {"LOST_UNKNOWN", LARK_E_LOST_UNKNOWN},
    {"DEADLINE", LARK_E_DEADLINE},
    {"DEADLINE_UNKNOWN", LARK_E_DEADLINE_UNKNOWN},
    {"OVERLOAD", LARK_E_OVERLOAD},
};

struct module_state *lark_python_state(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

static PyObject *commands(PyObject *module, PyObject *resp)
{
    (void)module;
    if (!PyBytes_Check(resp)) {
        PyErr_SetString(PyExc_TypeError, "commands() takes bytes");
        return NULL;
    }
    return lark_python_commands(lark_python_slice(resp));
}

static PyObject *prefix_valid(PyObject *module, PyObject *prefix)
{
    (void)module;
    if (!PyBytes_Check(prefix)) {
        PyErr_SetString(PyExc_TypeError, "prefix_valid() takes bytes");
        return NULL;
    }
    return PyBool_FromLong(lark_prefix_check(lark_python_slice(prefix)) == LARK_OK);
}

static PyObject *methods_list(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    const struct lark_catalogue *catalogue = lark_catalogue_default();
    size_t n = lark_catalogue_count(catalogue);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        struct lark_slice name = lark_catalogue_name(catalogue, i);
        PyObject *text = PyUnicode_FromStringAndSize((const char *)name.p, (Py_ssize_t)name.len);
        if (text == NULL || PyList_SetItem(list, (Py_ssize_t)i, text) != 0) Py_CLEAR(list);
    }
    return list;
}

static PyMethodDef functions[] = {
    {"commands", commands, METH_O, "commands(resp) -> list[list[bytes]]: the commands in the RESP of a call"},
    {"prefix_valid", prefix_valid, METH_O, "prefix_valid(prefix) -> bool: may it stand before keys?"},
    {"methods", methods_list, METH_NOARGS, "methods() -> list[str]: the names of the API's methods"},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec, const char *name, PyTypeObject **out)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL) return -1;
    *out = (PyTypeObject *)type;
    return PyModule_AddObjectRef(module, name, type);
}

static int exec(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);
    if (add_type(module, &lark_python_config_spec, "Config", &state->config_type) != 0) return -1;
    if (add_type(module, &lark_python_scopes_spec, "Scopes", &state->scopes_type) != 0) return -1;
    if (add_type(module, &lark_python_call_spec, "Call", &state->call_type) != 0) return -1;
    if (add_type(module, &lark_python_tokens_spec, "Tokens", &state->tokens_type) != 0) return -1;
    if (add_type(module, &lark_python_issuer_spec, "Issuer", &state->issuer_type) != 0) return -1;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (PyModule_AddIntConstant(module, errors[i].name, errors[i].status) != 0) return -1;
    }
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = PyModule_GetState(module);
    Py_VISIT(state->config_type);
    Py_VISIT(state->scopes_type);
    Py_VISIT(state->call_type);
    Py_VISIT(state->tokens_type);
    Py_VISIT(state->issuer_type);
    return 0;
}

static int clear(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->config_type);
    Py_CLEAR(state->scopes_type);
    Py_CLEAR(state->call_type);
    Py_CLEAR(state->tokens_type);
    Py_CLEAR(state->issuer_type);
    return 0;
}

static void module_free(void *module)
{
    (void)clear(module);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "lark_redis._core",
    .m_doc = "Lark's core: requests to Redis commands, replies to JSON. Use lark_redis.",
    .m_size = sizeof(struct module_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
