// The Authentication Header (RFC 4302), of which only the length is of interest here.
//
//    0       1       2               4                       8
//   | next  | length| reserved      | SPI                   | sequence              | ICV ...

// ---- offsets
const NEXT_HEADER: u32 = 0;
const PAYLOAD_LENGTH: u32 = 1;
const SPI: u32 = 4;
const SEQUENCE: u32 = 8;

// ---- size
/** Of the part before the integrity check value. */
export const AH_SIZE: u32 = SEQUENCE + 4;

// ---- check

/** Proves that the fixed part is inside `available` bytes. */
// @ts-ignore: decorator
@inline
export function ahIsWhole(available: u32): bool {
  return available >= AH_SIZE;
}

// ---- getters

// @ts-ignore: decorator
@inline
export function ahNextHeader(at: usize): u32 {
  return load<u8>(at, NEXT_HEADER);
}

/** In bytes: the field counts words of 4 bytes, less 2. */
// @ts-ignore: decorator
@inline
export function ahLength(at: usize): u32 {
  return (<u32>load<u8>(at, PAYLOAD_LENGTH) + 2) << 2;
}

// @ts-ignore: decorator
@inline
export function ahSpiBe(at: usize): u32 {
  return load<u32>(at, SPI);
}

// ---- setters: none, nothing of it may be rewritten
