/**
 * AssemblyScript's integer types as tsc sees them. The constants in assembly/shared/ are
 * compiled twice, once by asc, where these are real types, and once by tsc, where each is a
 * number: none of those constants may need more than 31 bits.
 */
type i8 = number;
type i16 = number;
type i32 = number;
type u8 = number;
type u16 = number;
type u32 = number;
type usize = number;
type f32 = number;
type f64 = number;
