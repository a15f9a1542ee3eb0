#include "token.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include <lark/text.h>

#include "arguments.h"
#include "files.h"
#include "help.h"
#include "settings.h"
#include "text.h"
#include "token_file.h"
#include "token_settings.h"
#include "token_store.h"
#include "token_tell.h"

enum command { CREATE, LIST, REVOKE, N_COMMANDS };

static const char *const command_words[N_COMMANDS] = {"create", "list", "revoke"};

/* One row of token_options in data/options.json. */
struct token_option_row {
    const char *option;
    bool has_value;
    bool of[N_COMMANDS];
};

#include "token_options.inc"

/* values: NULL: not given; name: the word of revoke */
struct request {
    struct lark_arena arena;
    enum command command;
    const char *values[N_TOKEN_OPTIONS];
    const char *word;
};

/* --- the command line ------------------------------------------------------------------------------------------ */

static bool refuse_word(const char *word, enum command command)
{
    lark__cli_say("unexpected '%s'; see lark help token", word);
    (void)command;
    return false;
}

static bool take_option(struct request *request, int option, const char *value)
{
    const struct token_option_row *row = &token_option_rows[option];
    if (!row->of[request->command]) {
        lark__cli_say("--%s is not for lark token %s; see lark help token", row->option,
                      command_words[request->command]);
        return false;
    }
    if (row->has_value && value[0] == '\0') {
        lark__cli_say("--%s: expected a value, got none", row->option);
        return false;
    }
    request->values[option] = row->has_value ? value : "1";
    return true;
}

static bool read_words(struct request *request, int argc, char **argv)
{
    struct option table[N_TOKEN_OPTIONS + 1] = {0};
    for (int i = 0; i < N_TOKEN_OPTIONS; i++)
        table[i] = (struct option){token_option_rows[i].option,
                                   token_option_rows[i].has_value ? required_argument : no_argument, NULL, 256 + i};
    optind = 0; /* glibc: start anew */
    opterr = 0;
    int got;
    while ((got = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (got == 'h') got = 256 + TOKEN_OPTION_HELP;
        if (got == ':') {
            lark__cli_say("%s needs a value; see lark help token", argv[optind - 1]);
            return false;
        }
        if (got < 256) return refuse_word(argv[optind - 1], request->command);
        if (!take_option(request, got - 256, optarg)) return false;
    }
    if (optind < argc && request->command == REVOKE) request->word = argv[optind++];
    return optind >= argc || refuse_word(argv[optind], request->command);
}

static const char *need(const struct request *request, enum token_option option)
{
    if (request->values[option] == NULL)
        lark__cli_say("lark token %s needs --%s; see lark help token", command_words[request->command],
                      token_option_rows[option].option);
    return request->values[option];
}

static bool open_store(struct request *request, struct lark_token_store *out_store)
{
    struct lark_redis_place place = {0};
    const char *text = NULL;
    const struct lark_option_value url = {request->values[TOKEN_OPTION_TOKEN_STORE], "--token-store"};
    const struct lark_option_value password = {request->values[TOKEN_OPTION_TOKEN_STORE_PASSWORD_FILE],
                                               "--token-store-password-file"};
    const struct lark_option_value ca = {request->values[TOKEN_OPTION_TOKEN_STORE_CA], "--token-store-ca"};
    return lark__settings_read_store(&request->arena, &url, &password, &ca, &place, &text) &&
           lark__token_store_open(&request->arena, &place, text, out_store);
}

/* --- create ---------------------------------------------------------------------------------------------------- */

static bool set_field(struct lark_credential *credential, enum lark_credential_field field, const char *option,
                      const char *text)
{
    const char *expected = "";
    if (lark_credential_set(credential, field, lark__cli_slice(text), &expected) == LARK_OK) return true;
    lark__cli_say("%s: expected %s, got '%.100s'", option, expected, text);
    return false;
}

/* "+30d" from now on. */
static bool read_span(const char *text, int64_t now_s, int64_t *out_s)
{
    static const char units[] = "smhdw";
    static const int64_t seconds[] = {1, 60, 3600, 86400, 604800};
    char *end = NULL;
    errno = 0;
    const long n = text[0] == '+' && text[1] >= '0' && text[1] <= '9' ? strtol(text + 1, &end, 10) : 0;
    const char *unit = n > 0 && errno == 0 && n <= 1000000 && *end != '\0' ? strchr(units, *end) : NULL;
    if (unit == NULL || end[1] != '\0') return false;
    *out_s = now_s + n * seconds[unit - units];
    return true;
}

static bool read_expires(struct lark_credential *credential, const char *text)
{
    const int64_t now_s = (int64_t)time(NULL);
    if (text[0] == '+') {
        if (read_span(text, now_s, &credential->expires_s)) return true;
        lark__cli_say("--expires: expected a time from now as +90m, +12h, +30d or +8w, got '%.100s'", text);
        return false;
    }
    if (!set_field(credential, LARK_CREDENTIAL_EXPIRES, "--expires", text)) return false;
    if (credential->expires_s > now_s) return true;
    lark__cli_say("--expires: '%s' is past", text);
    return false;
}

static bool read_scopes(struct request *request, struct lark_new_token *token, const char *text)
{
    struct lark_slice word;
    size_t at = 0;
    size_t n = 0;
    char *words = lark__cli_format(&request->arena, "%s", text);
    for (char *p = words; *p != '\0'; p++)
        if (*p == ',') *p = ' ';
    while (*words == ' ') words++;
    for (char *p = words; *p != '\0';) /* one blank between two */
        if (*p == ' ' && (p[1] == ' ' || p[1] == '\0'))
            memmove(p, p + 1, strlen(p));
        else
            p++;
    token->scopes = words;
    for (; lark__cli_word(words, &at, &word); n++) {
        if (lark_scopes_add(lark_catalogue_default(), word, &token->credential.scopes) != LARK_OK) {
            lark__settings_say_scope("--scopes", word);
            return false;
        }
        if (lark__cli_is(word, "read:*"))
            lark__cli_say(
                "note: read:* can write: it holds GETSET, as in the original Lark; name the methods one by one "
                "to leave it out");
    }
    if (n == 0) lark__cli_say("--scopes: expected at least one scope, got none; lark methods lists them");
    return n > 0;
}

static bool read_token(struct request *request, struct lark_new_token *token)
{
    const char *name = need(request, TOKEN_OPTION_NAME);
    const char *scopes = name == NULL ? NULL : need(request, TOKEN_OPTION_SCOPES);
    const char *prefix = request->values[TOKEN_OPTION_PREFIX];
    const char *expires = request->values[TOKEN_OPTION_EXPIRES];
    lark_credential_init(&token->credential);
    if (scopes == NULL || !set_field(&token->credential, LARK_CREDENTIAL_NAME, "--name", name)) return false;
    return read_scopes(request, token, scopes) &&
           (prefix == NULL || set_field(&token->credential, LARK_CREDENTIAL_PREFIX, "--prefix", prefix)) &&
           (expires == NULL || read_expires(&token->credential, expires));
}

/* The token itself is nowhere but in `out`. */
static bool make_secret(struct lark_new_token *token, char out[LARK_TOKEN_TEXT_MAX])
{
    uint8_t random[LARK_TOKEN_RANDOM_BYTES];
    struct lark_hasher *hasher = lark_hasher_new();
    const struct lark_slice name = {(const uint8_t *)token->credential.name, token->credential.name_len};
    bool good = hasher != NULL && getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random);
    if (good) {
        const size_t len = lark_token_write(name, random, out);
        good = lark_hasher_hash(hasher, (struct lark_slice){(const uint8_t *)out, len}, &token->hash) == LARK_OK;
    }
    lark_hasher_free(hasher);
    explicit_bzero(random, sizeof(random));
    if (!good) lark__cli_say("there are no random numbers to make a token from");
    return good;
}

static bool state_dir(struct request *request, const char **out_dir)
{
    const char *dir = request->values[TOKEN_OPTION_STATE_DIR];
    if (dir == NULL) dir = getenv("LARK_STATE_DIR");
    *out_dir = dir == NULL || dir[0] == '\0' ? lark__settings_state_dir(&request->arena)
                                             : lark__file_absolute(&request->arena, dir);
    if (*out_dir == NULL) lark__cli_say("there is no home folder with state in it; name one with --state-dir");
    return *out_dir != NULL;
}

static bool tell(struct request *request, const char *path)
{
    const char *dir = NULL;
    return state_dir(request, &dir) && lark__token_tell(&request->arena, dir, path);
}

static bool keep_in_file(struct request *request, const struct lark_new_token *token, const char **out_path)
{
    struct lark_token_file file;
    const char *name = request->values[TOKEN_OPTION_NAME];
    if (!lark__token_file_open(&request->arena, request->values[TOKEN_OPTION_TOKENS], true, &file)) return false;
    bool good = lark__token_file_find(&file, name) == lark_tokens_count(file.tokens);
    if (!good)
        lark__cli_say("%s has a token of the name '%s'; revoke it first, or choose another name", file.path, name);
    good = good && lark__token_file_add(&file, token);
    *out_path = file.path;
    lark__token_file_close(&file);
    return good;
}

static bool keep_in_store(struct request *request, const struct lark_new_token *token)
{
    struct lark_token_store store;
    if (!open_store(request, &store)) return false;
    const bool good = lark__token_store_add(&store, token);
    lark__token_store_close(&store);
    return good;
}

static int create(struct request *request)
{
    char secret[LARK_TOKEN_TEXT_MAX];
    struct lark_new_token token = {0};
    const char *path = NULL;
    if (!read_token(request, &token) || !make_secret(&token, secret)) return EXIT_FAILURE;
    const bool in_store = request->values[TOKEN_OPTION_TOKEN_STORE] != NULL;
    bool good = in_store ? keep_in_store(request, &token) : keep_in_file(request, &token, &path);
    if (good) {
        const bool told = in_store || tell(request, path);
        good = puts(secret) >= 0 && fflush(stdout) == 0 && told;
    }
    explicit_bzero(secret, sizeof(secret));
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- list, revoke ---------------------------------------------------------------------------------------------- */

static void print_entry(struct lark_arena *arena, const struct lark_token *token)
{
    char block[32];
    struct lark_buf moment;
    const struct lark_credential *credential = &token->credential;
    const char *expires = "never";
    lark_buf_init(&moment, lark_mem_default(), sizeof(block), block, sizeof(block));
    if (credential->expires_s != LARK_NEVER_S && lark_time_write(&moment, credential->expires_s) == LARK_OK)
        expires = lark__cli_format(arena, "%.*s%s", (int)moment.len, (const char *)moment.p,
                                   credential->expires_s <= (int64_t)time(NULL) ? " (expired)" : "");
    printf("%-20.*s %-20.*s %-22s %.*s\n", (int)credential->name_len, credential->name,
           credential->prefix_len > 0 ? (int)credential->prefix_len : 1,
           credential->prefix_len > 0 ? credential->prefix : "-", expires, (int)token->scopes.len,
           (const char *)token->scopes.p);
}

static bool list_file(struct request *request)
{
    struct lark_token_file file;
    if (!lark__token_file_open(&request->arena, request->values[TOKEN_OPTION_TOKENS], false, &file)) return false;
    for (size_t i = 0; i < lark_tokens_count(file.tokens); i++)
        print_entry(&request->arena, lark_tokens_at(file.tokens, i));
    lark__token_file_close(&file);
    return true;
}

static bool list_store(struct request *request)
{
    struct lark_token_store store;
    if (!open_store(request, &store)) return false;
    const bool good = lark__token_store_list(&store, print_entry);
    lark__token_store_close(&store);
    return good;
}

static int list(struct request *request)
{
    printf("%-20s %-20s %-22s %s\n", "NAME", "PREFIX", "EXPIRES", "SCOPES");
    const bool good = request->values[TOKEN_OPTION_TOKEN_STORE] != NULL ? list_store(request) : list_file(request);
    return good && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool revoke_in_file(struct request *request)
{
    struct lark_token_file file;
    if (!lark__token_file_open(&request->arena, request->values[TOKEN_OPTION_TOKENS], true, &file)) return false;
    const size_t index = lark__token_file_find(&file, request->word);
    bool good = index < lark_tokens_count(file.tokens);
    if (!good)
        lark__cli_say("%s has no token of the name '%s'; lark token list shows what there is", file.path,
                      request->word);
    good = good && lark__token_file_remove(&file, index);
    lark__token_file_close(&file);
    return good && tell(request, file.path);
}

static bool revoke_in_store(struct request *request)
{
    struct lark_token_store store;
    if (!open_store(request, &store)) return false;
    const bool good = lark__token_store_remove(&store, request->word);
    lark__token_store_close(&store);
    return good;
}

static int revoke(struct request *request)
{
    if (request->word == NULL) {
        lark__cli_say("lark token revoke needs the name of a token");
        return EXIT_FAILURE;
    }
    const bool in_store = request->values[TOKEN_OPTION_TOKEN_STORE] != NULL;
    return (in_store ? revoke_in_store(request) : revoke_in_file(request)) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A file or a store, not both. */
static bool has_place(const struct request *request)
{
    const bool file = request->values[TOKEN_OPTION_TOKENS] != NULL;
    const bool store = request->values[TOKEN_OPTION_TOKEN_STORE] != NULL;
    if (file != store) return true;
    lark__cli_say("lark token %s needs --tokens or --token-store%s; see lark help token",
                  command_words[request->command], file ? ", not both" : "");
    return false;
}

int lark__token_run(int argc, char **argv)
{
    static int (*const runs[N_COMMANDS])(struct request *) = {create, list, revoke};
    struct request request = {.command = N_COMMANDS};
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        if (argc >= 2) return lark__help_print("token");
        lark__cli_say("lark token needs a command: create, list or revoke; see lark help token");
        return EXIT_FAILURE;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], command_words[i]) == 0) request.command = (enum command)i;
    if (request.command == N_COMMANDS) {
        const char *near = lark__cli_near(argv[1], command_words, N_COMMANDS);
        lark__cli_say("lark token: there is no command '%s'%s%s; it is create, list or revoke", argv[1],
                      near == NULL ? "" : "; did you mean ", near == NULL ? "" : near);
        return EXIT_FAILURE;
    }
    lark_arena_init(&request.arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    (void)umask(077);
    int code = EXIT_FAILURE;
    char **words = lark__arguments_take(&request.arena, argc, argv);
    if (words != NULL && read_words(&request, argc - 1, words + 1)) {
        if (request.values[TOKEN_OPTION_HELP] != NULL)
            code = lark__help_print("token");
        else if (has_place(&request))
            code = runs[request.command](&request);
    }
    lark_arena_done(&request.arena);
    return code;
}
