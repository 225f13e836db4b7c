/**
 * What a triple fault was made of: the events that came one out of the other, what the CPU looked at for each, and the rule
 * of the manual that was broken. The events are the core's record (Vcpu.faults); why each delivery failed is told anew over
 * the registers and the memory that it has left, which are those of the moment before.
 */
import type { MachineDebug } from "../machine/debug.ts";
import { RUN_STATE, VCPU } from "../shared/layout.ts";
import type { MachineMemory } from "../vmm/memory.ts";
import { type CpuState, hex, linearOf, modeText, physicalOf, readCpu, type Sight, widthOf } from "./cpuState.ts";
import { classOf, type Event, eventOf, eventText, mnemonicOf, titleOfVector } from "./decode/exceptions.ts";
import { errorSays, faultAccess, judge, type Verdict } from "./decode/paging.ts";
import { type Delivery, tellDelivery } from "./delivery.ts";
import { type Line, linesFrom, lineText, type ReadCode } from "./listing.ts";
import type { Symbols } from "./symbols.ts";
import type { Recorded, TraceBlock } from "./trace.ts";
import { type Walk, walk } from "./walk.ts";

/** An event whose delivery has failed. */
export interface Link {
  readonly event: Event;
  /** What its error code says. */
  readonly error: string | undefined;
  /** The fault that was met instead, as the core has recorded it. */
  readonly met: Event;
  /** How the delivery went. */
  readonly delivery: Delivery;
  /** What became of the two. */
  readonly becomes: string;
}

export interface Autopsy {
  readonly cpu: CpuState;
  readonly mode: string;
  /** One paragraph: what began it, and the rule that was broken. */
  readonly summary: string;
  /** The walk of the address, where it began with a page fault. */
  readonly began: { readonly told: Walk; readonly verdict: Verdict } | undefined;
  readonly links: readonly Link[];
  /** The instruction that it began with, first. */
  readonly code: readonly Line[];
  /** The last instructions before, oldest first, where they were recorded. */
  readonly last: readonly Line[];
}

const PAGE = 4096;

/** Reads memory by linear address, as far as it is mapped. */
export const codeReader =
  ({ cpu, physical }: Sight) =>
  (linear: bigint, length: number): Uint8Array => {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = BigInt.asUintN(64, linear + BigInt(done));
      const { gpa } = walk(cpu, physical, at);
      const inPage = Math.min(length - done, PAGE - Number(at % BigInt(PAGE)));
      const bytes = gpa === undefined ? undefined : physical(gpa, inPage);
      if (!bytes) return out.subarray(0, done);
      out.set(bytes, done);
      done += inPage;
    }
    return out;
  };

/** The table of SDM vol. 3, 6-5, in words. */
function outcome(event: Event, met: Event): string {
  const [first, second] = [event, met].map((e) => mnemonicOf(e.vector));
  if (event.type === "exception" && event.vector === 8) {
    return `${second} while #DF was delivered: the CPU shuts down (SDM vol. 3, 6.15, interrupt 8)`;
  }
  const [one, two] = [classOf(event), classOf(met)];
  if ((one === "contributory" && two === "contributory") || (one === "page fault" && two !== "benign")) {
    return `${second} (${two}) while ${first} (${one}) was delivered: #DF (SDM vol. 3, tables 6-4 and 6-5)`;
  }
  return `${second} takes the place of ${eventText(event)}`;
}

/** The recorded events in pairs: what was delivered, and what was met. */
function pairs(debug: MachineDebug, id: number): { event: Event; met: Event }[] {
  const view = debug.view(id);
  const events = Array.from({ length: view.get(VCPU.faultCount) }, (_, i) =>
    eventOf(view.get64(VCPU.faults, i), view.get64(VCPU.faultAddress, i)),
  );
  return events.flatMap((event, i) => (i % 2 || !events[i + 1] ? [] : [{ event, met: events[i + 1] }]));
}

/** The vCPU that has shut down; undefined: none has. */
export const shutDown = (debug: MachineDebug): number | undefined => {
  const ids = Array.from({ length: debug.vcpus }, (_, id) => id);
  return ids.find((id) => debug.view(id).get(VCPU.runState) === RUN_STATE.SHUTDOWN);
};

/** Examines a vCPU whose last delivery ended in a triple fault; undefined: none did. */
export function autopsy(
  debug: MachineDebug,
  memory: MachineMemory,
  id: number,
  { symbols, recorded }: { symbols?: Symbols; recorded?: Recorded } = {},
): Autopsy | undefined {
  const found = pairs(debug, id);
  if (!found.length) return undefined;
  const sight: Sight = { cpu: readCpu(debug, id), physical: physicalOf(memory) };
  const { cpu } = sight;
  const links = found.map(({ event, met }): Link => {
    return {
      event,
      error: errorSays(cpu, event),
      met,
      delivery: tellDelivery(sight, event),
      becomes: outcome(event, met),
    };
  });
  const [first] = links;
  const read = codeReader(sight);
  const width = widthOf(cpu);
  const at = linearOf(cpu, "CS", cpu.rip);
  const began = beganWith(sight, first.event);
  return {
    cpu,
    mode: modeText(cpu),
    summary: summary(links, cpu, began),
    began,
    links,
    code: linesFrom(read, at, width, 1, symbols),
    last: recorded ? lastLines(recorded, sight, memory, symbols) : [],
  };
}

function beganWith({ cpu, physical }: Sight, { address, error }: Event): Autopsy["began"] {
  if (address === undefined || error === undefined) return undefined;
  const told = walk(cpu, physical, address);
  return { told, verdict: judge(cpu, told, faultAccess(cpu, error, address)) };
}

function summary(links: readonly Link[], cpu: CpuState, met: Autopsy["began"]): string {
  const { event } = links[0];
  const title = event.type === "exception" ? titleOfVector(event.vector) : "";
  const why = met && !met.verdict.ok ? ` because ${met.verdict.why}` : "";
  const fetched = met?.verdict.access.kind === "fetch" && event.address === linearOf(cpu, "CS", cpu.rip);
  const where = fetched ? `: the instruction at RIP ${hex(cpu.rip)} could not be fetched,` : ` at RIP ${hex(cpu.rip)}`;
  const began = `It began with ${eventText(event)}${title && ` (${title})`}${where}${why}.`;
  const broken = links.find(({ delivery }) => delivery.rule);
  if (!broken) return began;
  const { rule, section } = broken.delivery;
  return `${began} Its handler was not reached: ${rule} (SDM vol. 3, ${section}).`;
}

/**
 * The bytes of a block where it has run from, up to the end of its page: by its address something else may be there by now, or
 * nothing, above all when a wrong CR3 is what the guest has died of.
 */
const blockReader =
  ({ linear, host }: TraceBlock, memory: MachineMemory, read: ReadCode): ReadCode =>
  (from, length) => {
    const page = memory.bytes.subarray(host, host - (host % PAGE) + PAGE);
    if (!host || from !== linear) return read(from, length);
    const inPage = page.slice(0, length);
    const rest = read(from + BigInt(inPage.length), length - inPage.length);
    return Uint8Array.of(...inPage, ...rest);
  };

/** The instructions that were recorded, up to the one that it began with. */
function lastLines(
  recorded: Recorded,
  sight: Sight,
  memory: MachineMemory,
  symbols: Symbols | undefined,
  most = 24,
): Line[] {
  const read = codeReader(sight);
  const lines: Line[] = [];
  recorded.blocks.forEach((block, i) => {
    const { linear, icount, width } = block;
    const count = (recorded.blocks[i + 1]?.icount ?? sight.cpu.icount) - icount;
    if (count <= 0) return;
    lines.push(...linesFrom(blockReader(block, memory, read), linear, width, Math.min(count, most), symbols));
  });
  return lines.slice(-most);
}

/** A walk as lines of text, with the verdict. */
function walkLines({ told, verdict }: NonNullable<Delivery["walk"]>): string[] {
  const steps = told.steps.map(({ entry, at, index, value, flags }, i) => {
    const place = at === undefined ? "register" : hex(at);
    const mark = !verdict.ok && verdict.step === i ? "BAD" : "ok ";
    return `  ${mark} ${entry.padEnd(5)} [${index}] at ${place}: ${hex(value, 16)}  ${flags.join(" ") || "not present"}`;
  });
  return [
    `page walk of ${hex(told.linear)} (${told.mode}):`,
    ...steps,
    `  ${verdict.why} (SDM vol. 3, ${verdict.section})`,
  ];
}

/** An autopsy as lines of text. */
export function autopsyText({ cpu, mode, summary: says, began, links, code, last }: Autopsy): string {
  const lines = [`triple fault of vCPU ${cpu.id} in ${mode}, CPL ${cpu.cpl}`, says];
  if (last.length) lines.push("", "the last instructions:", ...[...last, ...code].map((line) => `  ${lineText(line)}`));
  else if (code.length) lines.push("", "the instruction:", ...code.map((line) => `  ${lineText(line)}`));
  if (began) lines.push("", ...walkLines(began));
  for (const { event, error, met, delivery, becomes } of links) {
    lines.push("", `delivering ${eventText(event)}${error ? ` (${error})` : ""}:`);
    for (const { what, found, ok } of delivery.checks) lines.push(`  ${ok ? "ok " : "BAD"} ${what}: ${found}`);
    if (delivery.walk) lines.push(...walkLines(delivery.walk).map((line) => `  ${line}`));
    if (delivery.rule) lines.push(`  rule: ${delivery.rule} (SDM vol. 3, ${delivery.section})`);
    lines.push(`  -> ${eventText(met)}`, `  ${becomes}`);
  }
  return `${lines.join("\n")}\n`;
}
