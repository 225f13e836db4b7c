/** Operand kinds: type arguments of the meanings. Dyn stands for "known when the meaning runs" (engine Emit). */
export class Reg {}
export class Mem {}
export class Imm {}
export class Cl {}
export class Dyn {}

/** How a memory operand will be used: decides which TLB is asked. */
export const READ: i32 = 0;
export const WRITE: i32 = 1;
export const MODIFY: i32 = 2;
