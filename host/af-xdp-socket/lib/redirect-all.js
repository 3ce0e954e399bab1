// The smallest useful XDP program: every frame goes to the socket of its receive queue, and to the
// kernel where there is none. Six instructions, so they are written out here.

const QUEUES_MAX = 256;

// opcode, registers (source << 4 | destination), offset (s16), immediate (s32)
const INSTRUCTIONS = [
  [0x61, 0x12, 16, 0], // r2 = context->rx_queue_index
  [0x18, 0x01, 0, 0], // r1 = sockets (the loader puts the map in)
  [0x00, 0x00, 0, 0], // its upper half
  [0xb7, 0x03, 0, 2], // r3 = XDP_PASS, the answer when there is no socket
  [0x85, 0x00, 0, 51], // r0 = bpf_redirect_map(r1, r2, r3)
  [0x95, 0x00, 0, 0], // return r0
];
const MAP_INSTRUCTION = 1;
const INSTRUCTION_LENGTH = 8;

function encode() {
  const bytes = Buffer.alloc(INSTRUCTIONS.length * INSTRUCTION_LENGTH);
  for (const [index, [opcode, registers, offset, immediate]] of INSTRUCTIONS.entries()) {
    const at = index * INSTRUCTION_LENGTH;
    bytes[at] = opcode;
    bytes[at + 1] = registers;
    bytes.writeInt16LE(offset, at + 2);
    bytes.writeInt32LE(immediate, at + 4);
  }
  return bytes.toString('base64');
}

export const REDIRECT_ALL_BYTECODE = Object.freeze({
  name: 'redirect_all',
  license: 'Dual BSD/GPL',
  instructions: encode(),
  maps: [
    {
      name: 'sockets',
      type: 'xskmap',
      keyLength: 4,
      valueLength: 4,
      maxEntries: QUEUES_MAX,
      flags: 0,
    },
  ],
  relocations: [{ instruction: MAP_INSTRUCTION, map: 'sockets' }],
});
