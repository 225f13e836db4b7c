/** Answering a vCPU's exit: the device access it asks for, carried out on the board. */
import type { PortBus } from "../bus/pio.ts";
import type { Width } from "../shared/device.ts";
import { EXIT } from "../shared/exit.ts";
import { AREA, VCPU } from "../shared/layout.ts";
import type { StructView } from "../vcpu/view.ts";
import type { Board } from "./board.ts";

/** Bit of exitB: several elements of INS or OUTS at once (assembly/mem/stage.ts). */
const EXIT_BULK = 8;

/** Moves elements between a port and the vCPU's buffer, and answers with their number. */
function bulk(ports: PortBus, view: StructView, port: number, size: Width, write: boolean): void {
  const count = Number(view.get64(VCPU.exitData, 1));
  const { data } = view;
  const at = view.base + AREA.STRING;
  for (let i = 0; i < count; i++) {
    const place = at + i * size;
    if (write) {
      const value =
        size === 1 ? data.getUint8(place) : size === 2 ? data.getUint16(place, true) : data.getUint32(place, true);
      ports.write(port, size, value);
      continue;
    }
    const value = ports.read(port, size);
    if (size === 1) data.setUint8(place, value);
    else if (size === 2) data.setUint16(place, value, true);
    else data.setUint32(place, value, true);
  }
  view.set64(VCPU.exitData, BigInt(count));
}

/** The exit record: exitA = port, gpa or MSR; exitB = width << 8 | write; exitData[0] = value. */
export function serveExit(machine: { board: Board; exitCounts: number[] }, view: StructView, id: number): void {
  const { board } = machine;
  const code = view.get(VCPU.exitCode);
  const where = view.get(VCPU.exitA);
  const how = view.get(VCPU.exitB);
  const write = (how & 1) !== 0;
  const size = (how >> 8) & 15;
  machine.exitCounts[code] = (machine.exitCounts[code] ?? 0) + 1;
  if (board.chips.serve(view, id)) return;
  const answer = (value: bigint) => view.set64(VCPU.exitData, value);
  switch (code) {
    case EXIT.INOUT:
      if (how & EXIT_BULK) bulk(board.ports, view, where, size as Width, write);
      else if (write)
        board.ports.write(where, size as Width, view.data.getUint32(view.base + VCPU.exitData.offset, true));
      else answer(BigInt(board.ports.read(where, size as Width)));
      return;
    case EXIT.INST_EMUL:
      if (write) board.mmio.write(where, size as Width | 8, view.get64(VCPU.exitData));
      else answer(board.mmio.read(where, size as Width | 8));
      return;
    default:
      throw new Error(`the core left with exit code ${code}, which nobody answers`);
  }
}
