#include "fetch.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "text.h"

#define REDIRECTS_MAX 3L

/* ---- URLs ---- */

static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return true;
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    const bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

static const char *fault_of(CURLU *url)
{
    char *scheme = NULL;
    char *host = NULL;
    const char *fault = NULL;
    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        fault = "expected a URL, https://HOST/PATH";
    else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        fault = "expected a URL without a user";
    else if (has_part(url, CURLUPART_FRAGMENT))
        fault = "expected a URL without a fragment";
    else if (strcmp(scheme, "https") != 0 && !(strcmp(scheme, "http") == 0 && is_loopback(host)))
        fault = "expected a URL with https:// (http:// only to a loopback address)";
    curl_free(host);
    curl_free(scheme);
    return fault;
}

static const char *fault_in(const char *text, bool may_query)
{
    const char *fault = "expected a URL, https://HOST/PATH";
    CURLU *url = curl_url();
    if (url == NULL) return "out of memory";
    if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK) fault = fault_of(url);
    if (fault == NULL && !may_query && strchr(text, '?') != NULL) fault = "expected a URL without a query";
    curl_url_cleanup(url);
    return fault;
}

const char *lark__fetch_fault(const char *url)
{
    return fault_in(url, true);
}

const char *lark__fetch_issuer_fault(const char *issuer)
{
    return fault_in(issuer, false);
}

/* ---- the transfer ---- */

struct transfer {
    struct lark_buf *body;
    bool too_large;
};

static size_t take(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *transfer = data;
    const struct lark_slice piece = {(const uint8_t *)bytes, size * n};
    if (lark_buf_append(transfer->body, piece) == LARK_OK) return piece.len;
    transfer->too_large = true;
    return 0;
}

/* Redirects: not from http. Where it leads to might not be loopback, and nobody has vouched for who said so. */
static bool set_up(CURL *curl, const struct lark_fetch *fetch, struct curl_slist *headers, struct transfer *transfer,
                   char *error)
{
    const bool secure = strncmp(fetch->url, "https:", 6) == 0;
    const long timeout_ms = (long)fetch->timeout_s * 1000;
    bool good = curl_easy_setopt(curl, CURLOPT_URL, fetch->url) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, secure ? "https" : "http") == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https") == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, secure ? 1L : 0L) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms / 2) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_USERAGENT, "lark/" LARK_VERSION) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
    good &= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error) == CURLE_OK;
    if (!secure) good &= curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK;
    if (fetch->ca != NULL) {
        good &= curl_easy_setopt(curl, CURLOPT_CAINFO, fetch->ca) == CURLE_OK;
        good &= curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
    }
    return good;
}

static bool judge(CURL *curl, CURLcode code, const struct transfer *transfer, const char *error, long *out_code,
                  char *out_why)
{
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, out_code);
    if (transfer->too_large)
        (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "the answer has more than %zu bytes", transfer->body->max);
    else if (code != CURLE_OK)
        (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "%s", error[0] == '\0' ? curl_easy_strerror(code) : error);
    else if (*out_code != 200)
        (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "the answer is HTTP %ld, expected 200", *out_code);
    return !transfer->too_large && code == CURLE_OK && *out_code == 200;
}

bool lark__fetch_get(const struct lark_fetch *fetch, struct lark_buf *out_body, long *out_code,
                     char out_why[LARK_FETCH_WHY_MAX])
{
    char error[CURL_ERROR_SIZE] = "";
    struct transfer transfer = {.body = out_body};
    bool good = false;
    (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "libcurl cannot be set up");
    *out_code = 0;
    out_body->len = 0;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    if (curl != NULL && headers != NULL && set_up(curl, fetch, headers, &transfer, error)) {
        const CURLcode code = curl_easy_perform(curl);
        good = judge(curl, code, &transfer, error, out_code, out_why);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return good;
}
