#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

static bool read_port(const char *text, uint16_t *out_port)
{
    uint32_t n = 0;
    const size_t len = strlen(text);
    if (len == 0 || len > 5) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        n = n * 10 + (uint32_t)(text[i] - '0');
    }
    if (n == 0 || n > UINT16_MAX) return false;
    *out_port = (uint16_t)n;
    return true;
}

static bool read_ip6(const char *text, struct in6_addr *out)
{
    char plain[INET6_ADDRSTRLEN];
    const size_t len = strlen(text);
    if (len < 4 || text[0] != '[' || text[len - 1] != ']' || len - 2 >= sizeof(plain)) return false;
    memcpy(plain, text + 1, len - 2);
    plain[len - 2] = '\0';
    return inet_pton(AF_INET6, plain, out) == 1;
}

bool lark__address_is_ip6(const char *text)
{
    struct in6_addr ignored;
    return read_ip6(text, &ignored);
}

static void set_ip4(struct lark_address *address, struct in_addr ip)
{
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port), .sin_addr = ip};
    memcpy(&address->socket, &in, sizeof(in));
    address->socket_len = sizeof(in);
    address->loopback = (ntohl(ip.s_addr) >> 24) == 127;
    address->any = ip.s_addr == htonl(INADDR_ANY);
}

static void set_ip6(struct lark_address *address, const struct in6_addr *ip)
{
    const struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(address->port), .sin6_addr = *ip};
    memcpy(&address->socket, &in, sizeof(in));
    address->socket_len = sizeof(in);
    address->loopback = IN6_IS_ADDR_LOOPBACK(ip);
    address->any = IN6_IS_ADDR_UNSPECIFIED(ip);
}

const char *lark__address_parse(struct lark_arena *arena, const char *text, struct lark_address *out_address)
{
    struct lark_address address = {0};
    struct in_addr ip4;
    struct in6_addr ip6;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text) return "expected ADDR:PORT, for example 127.0.0.1:7380";
    if (!read_port(colon + 1, &address.port)) return "expected a port from 1 to 65535 behind the last colon";
    char *host = lark__cli_copy(arena, (struct lark_slice){(const uint8_t *)text, (size_t)(colon - text)});
    if (strcmp(host, "localhost") == 0) host = lark__cli_format(arena, "127.0.0.1");
    if (inet_pton(AF_INET, host, &ip4) == 1)
        set_ip4(&address, ip4);
    else if (read_ip6(host, &ip6))
        set_ip6(&address, &ip6);
    else
        return "expected an IPv4 address, an IPv6 address in brackets, or localhost before the port";
    address.host = host;
    address.text = lark__cli_format(arena, "%s:%u", host, (unsigned)address.port);
    *out_address = address;
    return NULL;
}

int lark__address_try(const struct lark_address *address)
{
    const int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    const int on = 1;
    int error = 0;
    struct sockaddr_storage copy = address->socket;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (copy.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(fd, (struct sockaddr *)&copy, address->socket_len) != 0 || listen(fd, 1) != 0)
        error = errno;
    close(fd);
    return error;
}
