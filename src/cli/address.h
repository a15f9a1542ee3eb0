/* address.h - the address to listen on. */
#ifndef LARK_CLI_ADDRESS_H
#define LARK_CLI_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include <lark/types.h>

/* text:      as nginx takes it: "127.0.0.1:7380", "[::1]:7380"
 * host:      without the port, an IPv6 address in brackets
 * loopback:  reachable from this machine only
 * any:       all addresses of the machine (0.0.0.0, [::])
 * lifetime:  texts live in the arena */
struct lark_address {
    const char *text;
    const char *host;
    uint16_t port;
    bool loopback;
    bool any;
    struct sockaddr_storage socket;
    socklen_t socket_len;
};

/* lark__address_parse - ADDR:PORT. return: NULL, or what was expected (static text) */
LARK_MUST_USE const char *lark__address_parse(struct lark_arena *arena, const char *text,
                                              struct lark_address *out_address);

/* lark__address_try - can the address be bound as nginx does it? return: 0 | an errno */
LARK_MUST_USE int lark__address_try(const struct lark_address *address);

/* lark__address_is_ip6 - an IPv6 address in brackets? */
bool lark__address_is_ip6(const char *text);

#endif
