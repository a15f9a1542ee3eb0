#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "text.h"

extern char **environ;

#define ENV_PREFIX "LARK_"

static const struct lark_option_row *row_at(size_t option)
{
    return lark__options_row((enum lark_option)option);
}

static const struct lark_option_row *row_of_key(const char *key)
{
    for (size_t i = 0; key != NULL && i < LARK_N_OPTIONS; i++)
        if (strcmp(row_at(i)->key, key) == 0) return row_at(i);
    return NULL;
}

/* Say what is wrong with what getopt_long refused. */
static void refuse(int got, char **argv)
{
    const char *word = argv[optind - 1];
    if (got == ':') {
        lark__cli_say("--%s needs a value; see lark help serve", row_at((size_t)optopt - 256)->option);
        return;
    }
    if (optopt >= 256) {
        lark__cli_say("--%s takes no value; see lark help serve", row_at((size_t)optopt - 256)->option);
        return;
    }
    if (word[0] != '-' || word[1] != '-') {
        lark__cli_say("unknown option '-%c'; see lark help serve", optopt);
        return;
    }
    char name[64];
    size_t n = 0;
    for (const char *p = word + 2; *p != '\0' && *p != '=' && n < sizeof(name) - 1; p++) {
        name[n] = *p;
        if (*p == '-') name[n] = '_';
        n++;
    }
    name[n] = '\0';
    const struct lark_option_row *near = row_of_key(lark__options_near(name));
    if (near != NULL)
        lark__cli_say("unknown option '%.*s'; did you mean --%s? See lark help serve", (int)n + 2, word, near->option);
    else
        lark__cli_say("unknown option '%.*s'; see lark help serve", (int)n + 2, word);
}

static bool read_flags(struct lark_arena *arena, int argc, char **argv, struct lark_options *options)
{
    struct option table[LARK_N_OPTIONS + 1] = {0};
    for (size_t i = 0; i < LARK_N_OPTIONS; i++) {
        const bool bare = row_at(i)->type == LARK_OPTION_IS_FLAG || row_at(i)->type == LARK_OPTION_IS_ACTION;
        table[i] = (struct option){row_at(i)->option, bare ? no_argument : required_argument, NULL, 256 + (int)i};
    }
    optind = 0; /* glibc: start anew */
    opterr = 0;
    int got;
    while ((got = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (got == 'h') got = 256 + LARK_OPTION_HELP;
        if (got < 256) {
            refuse(got, argv);
            return false;
        }
        const enum lark_option option = (enum lark_option)(got - 256);
        const char *where = lark__cli_format(arena, "--%s", row_at(option)->option);
        if (!lark__options_set(arena, options, option, where, optarg == NULL ? "1" : optarg)) return false;
    }
    if (optind < argc) {
        lark__cli_say("unexpected argument '%s'; see lark help serve", argv[optind]);
        return false;
    }
    return true;
}

static bool read_environment(struct lark_arena *arena, struct lark_options *options)
{
    for (size_t i = 0; i < LARK_N_OPTIONS; i++) {
        const char *text = row_at(i)->env == NULL ? NULL : getenv(row_at(i)->env);
        if (text != NULL && text[0] != '\0' &&
            !lark__options_set(arena, options, (enum lark_option)i, row_at(i)->env, text))
            return false;
    }
    return true;
}

/* One name of the environment that begins with LARK_. */
static void warn_name(struct lark_arena *arena, const char *name, size_t len)
{
    const size_t skip = sizeof(ENV_PREFIX) - 1;
    char *key = lark__cli_copy(arena, (struct lark_slice){(const uint8_t *)name + skip, len - skip});
    for (char *p = key; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    const struct lark_option_row *row = row_of_key(key);
    if (row != NULL && row->env == NULL)
        lark__cli_say("%.*s is ignored: --%s is never read from the environment", (int)len, name, row->option);
    if (row != NULL) return;
    row = row_of_key(lark__options_near(key));
    if (row != NULL && row->env != NULL) lark__cli_say("%.*s is ignored: did you mean %s?", (int)len, name, row->env);
}

/* Names that begin with LARK_ but are none of ours may belong to somebody else: they are told, not refused. */
static void warn_environment(struct lark_arena *arena)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *end = strchr(*entry, '=');
        if (end != NULL && strncmp(*entry, ENV_PREFIX, sizeof(ENV_PREFIX) - 1) == 0)
            warn_name(arena, *entry, (size_t)(end - *entry));
    }
}

/* Who sets a variable chooses neither what callers may do nor whom to trust: not by way of a file either. */
static bool may_say(const struct lark_options *file)
{
    for (size_t i = 0; i < LARK_N_OPTIONS; i++)
        if (row_at(i)->env == NULL && file->values[i].text != NULL) {
            lark__cli_say("%s: is not taken from a file that %s names; name it with --config", file->values[i].where,
                          row_at(LARK_OPTION_CONFIG)->env);
            return false;
        }
    return true;
}

bool lark__options_read(struct lark_arena *arena, int argc, char **argv, struct lark_options *out_options)
{
    struct lark_options flags = {0};
    struct lark_options env = {0};
    struct lark_options file = {0};
    if (!read_flags(arena, argc, argv, &flags)) return false;
    if (lark__options_flag(&flags, LARK_OPTION_HELP)) {
        *out_options = flags;
        return true;
    }
    if (!read_environment(arena, &env)) return false;
    warn_environment(arena);
    const bool by_flag = flags.values[LARK_OPTION_CONFIG].text != NULL;
    const char *path = (by_flag ? &flags : &env)->values[LARK_OPTION_CONFIG].text;
    if (path != NULL && (!lark__config_file_read(arena, path, &file) || !(by_flag || may_say(&file)))) return false;
    for (size_t i = 0; i < LARK_N_OPTIONS; i++) {
        struct lark_option_value *value = &out_options->values[i];
        *value = (struct lark_option_value){row_at(i)->fallback, row_at(i)->key};
        if (file.values[i].text != NULL) *value = file.values[i];
        if (env.values[i].text != NULL) *value = env.values[i];
        if (flags.values[i].text != NULL) *value = flags.values[i];
    }
    return true;
}
