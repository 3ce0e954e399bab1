/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What every BPF program here is written with: sections, maps, and what goes into its JSON file. */

#pragma once

#include <linux/bpf.h>
#include <stddef.h>

#define SECTION(name) __attribute__((section(name), used))
#define inline_always static inline __attribute__((always_inline))

typedef _Bool bool;
#define true 1
#define false 0

struct map_definition {
	__u32 type;
	__u32 key_length;
	__u32 value_length;
	__u32 entries_max;
	__u32 flags;
};

/* Read from the object file by extract-bytecode.mjs; the programs do not use them. */
struct exported_constant {
	char name[40];
	__u32 value;
};

#define CONSTANT(value) {#value, value}
#define CONSTANT_OFFSET(type, field) {#type "." #field, offsetof(struct type, field)}
