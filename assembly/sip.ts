// Persistence engine "sip" (ip_vs_pe_sip.c).

export function parseCallId(packet: usize): bool {
  return false;
}

export function findSipTemplate(
  family: u32,
  protocol: u32,
  client: usize,
  virtual: usize,
  virtualPort: u32,
): u32 {
  return 0;
}

export function rememberCallId(index: u32): void {}

export function answersSip(packet: usize): bool {
  return false;
}
