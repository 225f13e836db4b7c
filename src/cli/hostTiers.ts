/**
 * How soon V8's optimising compiler takes up a Wasm function. At each exit of a function V8 counts all its machine code
 * before that exit: a region of 15 KiB, which leaves at its end, was optimised after 120 entries. That costs as much as
 * millions of instructions in the first compiler's code, on threads that take the guest's cores: in a boot of Linux twice
 * the guest's own time.
 */
import { setFlagsFromString } from "node:v8";

/** Bytes of machine code that a function may count; V8's own figure is 1,800,000. */
const BUDGET = 500_000_000;

/** For the Wasm that this process compiles from now on: call it when the core, which is optimised early, has been. */
export function optimiseLater(): void {
  setFlagsFromString(`--wasm-tiering-budget=${BUDGET}`);
}
