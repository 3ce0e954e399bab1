// Where the generator and the plain-C forwarder stand: between which interfaces and gateways, for which
// service and servers. Both are told so by the same words.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SERVERS_MAX 64

enum side { CLIENT, SERVER };

// Addresses and ports in network order.
struct end {
  uint32_t address;
  uint16_t port;
};

struct site {
  const char *interface[2];
  uint8_t gateway[2][6];
  struct end virtual;
  uint32_t servers[SERVERS_MAX];
  uint32_t server_count;
  uint16_t server_port;
};

// Splits NAME=VALUE in place and answers the value. Ends the process when there is none.
char *split_option(char *word);

// Takes client=IF server=IF client-gateway=MAC server-gateway=MAC vip=A port=N servers=A,A,...
// server-port=N, split. False when the name is none of these; ends the process when the value is wrong.
bool read_site_option(struct site *site, const char *name, char *value);
