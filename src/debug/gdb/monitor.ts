/** gdb's `monitor` commands: what gdb has no command of its own for. */
import type { Machine } from "../../machine/machine.ts";
import { VCPU } from "../../shared/layout.ts";
import { getSegment } from "../../vcpu/view.ts";
import { SEGMENT_NAMES } from "../../vmm/registers.ts";
import { hex, physicalOf, readCpu } from "../cpuState.ts";
import { type Walk, walk } from "../walk.ts";

const HELP = `registers      control registers, segments and descriptor tables of the thread's vCPU
walk ADDRESS   the page walk of a linear address, entry by entry
reset          the reset button; the guest boots again when it continues
help           this
`;

function registers(machine: Machine, id: number): string {
  const view = machine.debug.view(id);
  const long = (name: "cr0" | "cr2" | "cr3" | "cr4" | "efer"): string => `${name} ${hex(view.get64(VCPU[name]))}`;
  const lines = [["cr0", "cr2", "cr3", "cr4", "efer"].map((n) => long(n as "cr0")).join("  ")];
  for (const name of SEGMENT_NAMES) {
    const { selector, base, limit, ar } = getSegment(view, name);
    lines.push(
      `${name.padEnd(4)} ${hex(selector, 4)}  base ${hex(base, 16)}  limit ${hex(limit, 8)}  access ${hex(ar, 5)}`,
    );
  }
  lines.push(`GDTR base ${hex(view.get64(VCPU.gdtBase), 16)}  limit ${hex(view.get(VCPU.gdtLimit), 4)}`);
  lines.push(`IDTR base ${hex(view.get64(VCPU.idtBase), 16)}  limit ${hex(view.get(VCPU.idtLimit), 4)}`);
  return lines.map((line) => `${line}\n`).join("");
}

/** A walk as lines of text. */
export function walkText({ mode, steps, gpa, pageSize }: Walk): string {
  const lines = steps.map(({ entry, at, index, value, flags }) => {
    const place = at === undefined ? "register" : hex(at);
    return `${entry.padEnd(5)} [${index}] at ${place}: ${hex(value, 16)}  ${flags.join(" ") || "not present"}`;
  });
  const last = steps.at(-1);
  if (mode === "none") lines.push(`no paging: ${hex(gpa ?? 0)}`);
  else if (gpa !== undefined) lines.push(`-> ${hex(gpa)}, page of ${(pageSize ?? 0) >>> 10} KiB`);
  else
    lines.push(last && !(last.value & 1n) ? `the ${last.entry} is not present` : "the next table is outside of memory");
  return lines.map((line) => `${line}\n`).join("");
}

/** Carries a command out; what gdb shows. */
export async function monitor(machine: Machine, id: number, command: string): Promise<string> {
  const [name, argument = ""] = command.split(/\s+/);
  switch (name) {
    case "registers":
      return registers(machine, id);
    case "walk": {
      if (!/^(0x[0-9a-f]+|\d+)$/i.test(argument)) return `walk ${argument}: an address is needed, such as 0x1000\n`;
      return walkText(
        walk(readCpu(machine.debug, id), physicalOf(machine.memory), BigInt.asUintN(64, BigInt(argument))),
      );
    }
    case "reset":
      // Not one instruction runs before the next breakpoint is set.
      await machine.reset({ pause: true });
      return "The machine has been reset.\n";
    case "help":
      return HELP;
    default:
      return `${name}: no such command; these there are:\n${HELP}`;
  }
}
