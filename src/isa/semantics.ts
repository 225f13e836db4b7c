/**
 * The generic meanings of assembly/sem, and how a row's operands reach them.
 *
 * `roles` has one letter for each operand of the row: D (field d, or the memory operand), S (field s, or the memory
 * operand, or an immediate), N (a count: immediate or CL), I (immediate), M (address only), J (branch target),
 * `_` (known to the meaning). `types` are the type arguments after the backend: T = type of operand 0 (or of the
 * operand size), F = type of operand 1; D, S, N = kind of the operand with that role (Reg, Mem, Imm, Cl).
 * `control` meanings return the next micro-op instead of a bool. `cc` meanings get the condition as last argument.
 * `interpOnly`: the backend that writes Wasm (assembly/jit/emit.ts) does not serve it; a compiled region ends before it.
 */
export interface Semantic {
  readonly roles: string;
  readonly types: string;
  readonly control?: boolean;
  readonly cc?: boolean;
  readonly interpOnly?: boolean;
}

const binary: Semantic = { roles: "DS", types: "TDS" };
const unary: Semantic = { roles: "D", types: "TD" };
const shift: Semantic = { roles: "DN", types: "TDN" };
const flag: Semantic = { roles: "", types: "" };

export const SEMANTICS: Readonly<Record<string, Semantic>> = {
  add: binary,
  or: binary,
  adc: binary,
  sbb: binary,
  and: binary,
  sub: binary,
  xor: binary,
  cmp: binary,
  test: binary,
  mov: binary,
  bt: binary,
  bts: binary,
  btr: binary,
  btc: binary,
  inc: unary,
  dec: unary,
  not: unary,
  neg: unary,
  mul: { roles: "S", types: "TS" },
  imul: { roles: "S", types: "TS" },
  div: { roles: "S", types: "TS" },
  idiv: { roles: "S", types: "TS" },
  imul2: { roles: "DS", types: "TS" },
  imul3: { roles: "DSI", types: "TS" },
  rol: shift,
  ror: shift,
  rcl: shift,
  rcr: shift,
  shl: shift,
  shr: shift,
  sar: shift,
  shld: { roles: "DSN", types: "TDN" },
  shrd: { roles: "DSN", types: "TDN" },
  movi: { roles: "DI", types: "T" },
  lea: { roles: "DM", types: "T" },
  movzx: { roles: "DS", types: "TFS" },
  movsx: { roles: "DS", types: "TFS" },
  xchg: { roles: "DS", types: "TD" },
  xchg90: { roles: "DS", types: "T" },
  bswap: { roles: "D", types: "T" },
  cmov: { roles: "DS", types: "TS", cc: true },
  setcc: { roles: "D", types: "D", cc: true },
  cbw: { roles: "", types: "T" },
  cwd: { roles: "", types: "T" },
  cmpxchg: { roles: "DS", types: "TD" },
  xadd: { roles: "DS", types: "TD" },
  bsf: { roles: "DS", types: "TS" },
  bsr: { roles: "DS", types: "TS" },
  push: { roles: "S", types: "TS" },
  pop: { roles: "D", types: "T" },
  jcc: { roles: "J", types: "", control: true, cc: true },
  jmp: { roles: "J", types: "", control: true },
  call: { roles: "J", types: "T", control: true },
  jmpE: { roles: "S", types: "TS", control: true },
  callE: { roles: "S", types: "TS", control: true },
  ret: { roles: "I", types: "T", control: true },
  clc: flag,
  stc: flag,
  cmc: flag,
  nop: { roles: "___", types: "" },
};
