/* processes.h - start and end nginx and the private Redis of a server. */
#ifndef LARK_CLI_PROCESSES_H
#define LARK_CLI_PROCESSES_H

#include "server.h"

/* Each start returns false when it said why. */
LARK_MUST_USE bool lark__processes_start_redis(struct lark_server *server);
LARK_MUST_USE bool lark__processes_start_nginx(struct lark_server *server);

#endif
