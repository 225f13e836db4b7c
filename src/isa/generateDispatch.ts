/** Text of assembly/gen/dispatch.ts: the interpreter's switch and the table of what it calls. */
import { ADDRESS, callText, type MicroOp, STRUCTURE, specialise } from "./specialise.ts";
import type { Row } from "./table/grammar.ts";

function imports(ops: readonly MicroOp[], sem: Map<string, string>, handlers: Map<string, string>): string {
  const byFile = new Map<string, Set<string>>();
  for (const op of ops) {
    const file = (op.handler ? handlers : sem).get(op.meaning);
    if (!file) throw new Error(`no ${op.handler ? "handler" : "meaning"} named ${op.meaning} under assembly/`);
    const names = byFile.get(file) ?? new Set();
    byFile.set(file, names.add(op.meaning));
  }
  return [...byFile].map(([file, names]) => `import { ${[...names].join(", ")} } from "${file}";`).join("\n");
}

export function dispatchText(rows: readonly Row[], sem: Map<string, string>, handlers: Map<string, string>): string {
  const { ops, firstCalled } = specialise(rows);
  const inline = ops.filter((op) => op.id < firstCalled);
  const called = ops.filter((op) => op.id >= firstCalled);
  const structure = Object.fromEntries([...STRUCTURE, ...ADDRESS].map((n, i) => [n, i]));
  const wrapper = (op: MicroOp) => (op.handler ? op.meaning : `x${op.id}`);
  return `import { Vcpu, STATUS_REGION } from "./layout";
import { Interp } from "../interp/backend";
import { Locked, lost } from "../interp/locked";
import { Reg, Mem, Imm, Cl } from "../sem/kinds";
import { headStop, stop, enterNext, enterNextEvents, enterEvents, raiseUop, straddle, stopUop } from "../interp/structure";
import { easeg } from "../decode/address";
import { enter } from "../decode/block";
import { budgetLeft, runRegions } from "../jit/enter";
${imports(ops, sem, handlers)}

${called
  .filter((op) => !op.handler)
  .map((op) =>
    op.lockedOf
      ? `function ${wrapper(op)}(c: Vcpu, u: usize): bool { const b = changetype<Locked>(c); while (${callText(op, "Locked", "b")}) if (!lost) return true; return false; }`
      : `function ${wrapper(op)}(c: Vcpu, u: usize): bool { const b = changetype<Interp>(c); return ${callText(op, "Interp", "b")}; }`,
  )
  .join("\n")}

const FIRST_CALLED: i32 = ${firstCalled};
const CALLED: StaticArray<(c: Vcpu, u: usize) => bool> = [
${called.map((op) => `  ${wrapper(op)},`).join("\n")}
];

/** Calls a micro-op that the switch does not have; false: it did not complete. */
export function callHandler(c: Vcpu, u: usize): bool {
  return call_indirect<bool>(load<u32>(changetype<usize>(unchecked(CALLED[<i32>load<u16>(u) - FIRST_CALLED]))), c, u);
}

/**
 * Runs micro-ops from \`u\` until the budget of instructions is used up or something wants the outer loop; returns
 * what is left of the budget. c.status says why it came back.
 */
export function go(c: Vcpu, u: usize, budget: i64): i64 {
  while (true) {
    budget = interpret(c, u, budget);
    if (c.status != STATUS_REGION) return budget;
    // Calls stand out here: in the loop of the switch they would cost it registers.
    u = runRegions(c, c.uop, budget);
    budget = budgetLeft;
    if (!u) return budget;
  }
}

function interpret(c: Vcpu, u: usize, budget: i64): i64 {
  const b = changetype<Interp>(c);
  while (true) {
    switch (<i32>load<u16>(u)) {
      case ${structure.HEAD}: {
        budget -= load<u32>(u, 12);
        if (budget < 0 || c.attention != 0) return headStop(c, u, budget);
        u += 32;
        continue;
      }
      case ${structure.STOP}: return stopUop(c, u, budget);
      case ${structure.NEXT}: { u = enterNext(c, u); if (!u) return budget; continue; }
      case ${structure.NEXTEV}: { enterNextEvents(c, u); return budget; }
      case ${structure.GO}: { u = enter(c); if (!u) return budget; continue; }
      case ${structure.GOEV}: { enterEvents(c); return budget; }
      case ${structure.RAISE}: { raiseUop(c, u); return stop(c, u, budget); }
      case ${structure.STRADDLE}: { if (!straddle(c, u)) return stop(c, u, budget); u += 32; continue; }
      case ${structure.REGION}: { c.uop = <u32>u; c.status = STATUS_REGION; return budget; }
      case ${structure.COLD}: {
        budget -= load<u32>(u, 12);
        if (budget < 0 || c.attention != 0) return headStop(c, u, budget);
        const heat = load<u32>(u, 16) - 1;
        store<u32>(u, heat, 16);
        if (!heat) { c.uop = <u32>u; c.status = STATUS_REGION; return budget + load<u32>(u, 12); }
        u += 32;
        continue;
      }
      case ${structure.EASEG}: { if (!easeg(c, u)) return stop(c, u, budget); u += 32; continue; }
${inline
  .map((op) =>
    op.control
      ? `      case ${op.id}: { const next = ${callText(op, "Interp", "b")}; if (!next) return stop(c, u, budget); u = next; continue; }`
      : `      case ${op.id}: { if (!${callText(op, "Interp", "b")}) return stop(c, u, budget); u += 32; continue; }`,
  )
  .join("\n")}
      default: {
        if (!call_indirect<bool>(load<u32>(changetype<usize>(unchecked(CALLED[<i32>load<u16>(u) - FIRST_CALLED]))), c, u)) return stop(c, u, budget);
        u += 32;
        continue;
      }
    }
    return budget;
  }
  return budget;
}
`;
}
