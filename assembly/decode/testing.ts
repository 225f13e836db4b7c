/** Test-only entry: the decoder by itself. */
import { Vcpu } from "../gen/layout";
import { OP_RAISE } from "../gen/decode";
import { decode, length } from "./decode";

/**
 * Decodes the instruction at `from`, of which `bytes` bytes are there, and writes its micro-ops at `uops`. Returns its
 * length, 0 if the bytes do not suffice; bits 8 up: the vector of the exception that is all it does, or 0.
 */
export function decodeOne(vcpu: usize, from: usize, bytes: u32, uops: usize): u32 {
  const end = decode(changetype<Vcpu>(vcpu), from, from + bytes, 0, uops);
  if (!end) return 0;
  return length | (load<u16>(uops) == OP_RAISE ? load<u32>(uops, 16) << 8 : 0);
}
