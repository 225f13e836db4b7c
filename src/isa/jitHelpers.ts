/**
 * Functions of the core that compiled regions call. A region's module imports them in this order, so that a helper's
 * number is its function index. Signatures: parameters, result; i = i32, l = i64.
 */
export const JIT_HELPERS = [
  ["regionRead", "ili", "i"],
  ["regionWrite", "ili", "i"],
  ["conditionOf", "iilll", "i"],
  ["carryOf", "illl", "l"],
  ["arithmeticOf", "illl", "l"],
  ["mulHighU", "ll", "l"],
  ["mulHighS", "ll", "l"],
  ["divide128", "lll", "l"],
  ["remainder128", "lll", "l"],
  ["idivBad", "llll", "i"],
  ["idivQuotient", "llll", "l"],
  ["idivRemainder", "llll", "l"],
  ["rotateCarryLeft", "llll", "l"],
  ["rotateCarryRight", "llll", "l"],
  ["shiftDoubleLeft", "llll", "l"],
  ["shiftDoubleRight", "llll", "l"],
  ["swap64", "l", "l"],
  ["callHandler", "ii", "i"],
  ["easeg", "ii", "i"],
  ["x87Add", "illll", "l"],
  ["x87Sub", "illll", "l"],
  ["x87Mul", "illll", "l"],
  ["x87Div", "illll", "l"],
  ["x87Sqrt", "ill", "l"],
  ["x87ToF64", "ill", "l"],
  ["x87ToF32", "ill", "l"],
  ["x87ToInt", "illl", "l"],
  ["x87Compare", "illll", "l"],
  // The ends of a region, which it calls last: (vcpu, budget, RSP, …).
  ["regionLeave", "illll", "l"],
  ["regionGoOn", "illli", "l"],
  // Not the core's: (vcpu, budget, RSP, RIP), see assembly/jit/chain.ts. By the mode of the code: 64-bit, or 32-bit.
  ["chain64", "illl", "l"],
  ["chain32", "illl", "l"],
] as const;

/** (vcpu, budget, entry) -> budget that is left. */
export const REGION_TYPE = "ili>l";

/** Function types of a region's module, by their indices. */
export const REGION_TYPES = [
  ...new Set([...JIT_HELPERS.map(([, params, result]) => `${params}>${result}`), REGION_TYPE]),
];
