#pragma once

#define TUN_NAME_MAX 16

// Creates a TUN device without packet information; `name` is a pattern in, the real name out.
int tun_open(char name[TUN_NAME_MAX]);
