#include "jwks.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "help.h"
#include "jwks_refresh.h"
#include "text.h"

/* One row of jwks_options in data/options.json. */
struct jwks_option_row {
    const char *option;
    bool has_value;
};

#include "jwks_options.inc"

struct request {
    const char *values[N_JWKS_OPTIONS];
};

static bool read_words(struct request *request, int argc, char **argv)
{
    struct option table[N_JWKS_OPTIONS + 1] = {0};
    for (int i = 0; i < N_JWKS_OPTIONS; i++)
        table[i] = (struct option){jwks_option_rows[i].option,
                                   jwks_option_rows[i].has_value ? required_argument : no_argument, NULL, 256 + i};
    optind = 0; /* glibc: start anew */
    opterr = 0;
    int got;
    while ((got = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (got == 'h') got = 256 + JWKS_OPTION_HELP;
        if (got < 256) {
            lark__cli_say("%s%s; see lark help jwks-refresh", got == ':' ? "a value is missing behind " : "unexpected ",
                          argv[optind - 1]);
            return false;
        }
        request->values[got - 256] = optarg == NULL ? "1" : optarg;
    }
    if (optind < argc) lark__cli_say("unexpected '%s'; see lark help jwks-refresh", argv[optind]);
    return optind >= argc;
}

static bool read_seconds(const struct request *request, enum jwks_option option, uint32_t max, uint32_t *out_s)
{
    const char *text = request->values[option];
    if (text == NULL) return true;
    char *end = NULL;
    const unsigned long n = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (n >= 1 && n <= max && *end == '\0') {
        *out_s = (uint32_t)n;
        return true;
    }
    lark__cli_say("--%s: expected whole seconds from 1 to %u, got '%s'", jwks_option_rows[option].option, (unsigned)max,
                  text);
    return false;
}

static bool check_url(const struct lark_jwks_place *place)
{
    const char *url = place->issuer != NULL ? place->issuer : place->url;
    const char *fault = place->issuer != NULL ? lark__fetch_issuer_fault(url) : lark__fetch_fault(url);
    if (fault != NULL) lark__cli_say("%s: %s, got '%s'", place->issuer != NULL ? "--issuer" : "--url", fault, url);
    return fault == NULL;
}

static bool read_place(const struct request *request, struct lark_jwks_place *out_place)
{
    out_place->url = request->values[JWKS_OPTION_URL];
    out_place->issuer = request->values[JWKS_OPTION_ISSUER];
    out_place->out = request->values[JWKS_OPTION_OUT];
    out_place->ca = request->values[JWKS_OPTION_CA];
    if ((out_place->url == NULL) == (out_place->issuer == NULL)) {
        lark__cli_say("lark jwks-refresh needs one of --url and --issuer; see lark help jwks-refresh");
        return false;
    }
    if (out_place->out == NULL || out_place->out[0] == '\0') {
        lark__cli_say("lark jwks-refresh needs --out; see lark help jwks-refresh");
        return false;
    }
    return check_url(out_place) &&
           read_seconds(request, JWKS_OPTION_INTERVAL, LARK_JWKS_INTERVAL_MAX_S, &out_place->interval_s) &&
           read_seconds(request, JWKS_OPTION_TIMEOUT, LARK_JWKS_TIMEOUT_MAX_S, &out_place->timeout_s);
}

int lark__jwks_run(int argc, char **argv)
{
    struct request request = {0};
    struct lark_jwks_place place = {.interval_s = LARK_JWKS_INTERVAL_S, .timeout_s = LARK_JWKS_TIMEOUT_S};
    if (!read_words(&request, argc, argv)) return EXIT_FAILURE;
    if (request.values[JWKS_OPTION_HELP] != NULL) return lark__help_print("jwks-refresh");
    if (!read_place(&request, &place)) return EXIT_FAILURE;
    return lark__jwks_refresh(&place, request.values[JWKS_OPTION_ONCE] != NULL) ? EXIT_SUCCESS : EXIT_FAILURE;
}
