/** Operand kinds: type arguments of the meanings. Dyn stands for "known when the meaning runs" (engine Emit). */
export class Reg {}
export class Mem {}
export class Imm {}
export class Cl {}
export class Dyn {}
/** Sizes "known when the meaning runs": of the operand (T) and of operand 1 (F). */
export class SizeT {}
export class SizeF {}

/** How a memory operand will be used: decides which TLB is asked. */
export const READ: i32 = 0;
export const WRITE: i32 = 1;
export const MODIFY: i32 = 2;
