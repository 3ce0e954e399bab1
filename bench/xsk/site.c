#include "site.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xsk.h"

static uint32_t read_address(const char *text) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) fail("no IPv4 address", text);
  return address.s_addr;
}

static void read_mac(const char *text, uint8_t *mac) {
  if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
             &mac[5]) != 6) {
    fail("no MAC address", text);
  }
}

static void read_servers(struct site *site, char *text) {
  for (char *one = strtok(text, ","); one != NULL; one = strtok(NULL, ",")) {
    if (site->server_count == SERVERS_MAX) fail("too many servers", one);
    site->servers[site->server_count++] = read_address(one);
  }
}

char *split_option(char *word) {
  char *value = strchr(word, '=');
  if (value == NULL) fail("no option", word);
  *value++ = '\0';
  return value;
}

bool read_site_option(struct site *site, const char *name, char *value) {
  if (strcmp(name, "client") == 0) site->interface[CLIENT] = value;
  else if (strcmp(name, "server") == 0) site->interface[SERVER] = value;
  else if (strcmp(name, "client-gateway") == 0) read_mac(value, site->gateway[CLIENT]);
  else if (strcmp(name, "server-gateway") == 0) read_mac(value, site->gateway[SERVER]);
  else if (strcmp(name, "vip") == 0) site->virtual.address = read_address(value);
  else if (strcmp(name, "port") == 0) site->virtual.port = htons((uint16_t)atoi(value));
  else if (strcmp(name, "servers") == 0) read_servers(site, value);
  else if (strcmp(name, "server-port") == 0) site->server_port = htons((uint16_t)atoi(value));
  else return false;
  return true;
}
