// The Encapsulating Security Payload (RFC 4303): all behind these two words is opaque.
//
//    0                       4                       8
//   | SPI                   | sequence              | payload ...

// ---- offsets
const SPI: u32 = 0;
const SEQUENCE: u32 = 4;

// ---- size
export const ESP_SIZE: u32 = SEQUENCE + 4;

// ---- check

/** Proves that the fixed part is inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function espIsWhole(available: u32): bool {
  return available >= ESP_SIZE;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function espSpiBe(at: usize): u32 {
  return load<u32>(at, SPI);
}

// ---- setters: none, nothing of it may be rewritten
