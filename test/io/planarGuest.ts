/**
 * A guest that writes to and reads from a VGA's window at random, executed by the core, beside a model of the planes' logic
 * that goes by the manual's words (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"): a byte for each plane,
 * one bit after the other. Planes and what was read must be the same afterwards.
 */
import type { Random } from "../../src/cli/fuzz/random.ts";
import { DISPI, type Vga } from "../../src/io/vga.ts";
import type { VgaMemory } from "../../src/io/vgaMemory.ts";
import { resetVcpu } from "../../src/machine/cpuReset.ts";
import { EXIT, RUN } from "../../src/shared/exit.ts";
import { ATTENTION, CONTROL, VCPU } from "../../src/shared/layout.ts";
import { type CoreExports, instantiateCore } from "../../src/vcpu/core.ts";
import { postDrop } from "../../src/vcpu/drop.ts";
import { type StructView, setSegment, vcpuBase, vcpuView } from "../../src/vcpu/view.ts";
import type { MachineMemory } from "../../src/vmm/memory.ts";

const CODE = 0x1000;
const RESULTS = 0x4000;
/** Accesses of a run, and what it is interrupted by. */
const MOST_TURNS = 4000;
const WINDOWS = [0xa_0000, 0xa_0000, 0xb_0000, 0xb_8000] as const;
const WINDOW_SIZES = [0x1_0000, 0x1_0000, 0x8000, 0x8000] as const;

/** The manual's logic, on a copy of the planes. */
class Model {
  readonly #planes: Uint8Array;
  readonly #latch: number[];
  readonly #vga: Vga;
  readonly #addresses: number;
  readonly #bank: number;

  constructor(vga: Vga, planes: Uint32Array, latch: number) {
    this.#vga = vga;
    // A double word for each address, plane 0 in its lowest byte.
    this.#planes = new Uint8Array(planes.slice().buffer);
    this.#latch = [0, 8, 16, 24].map((shift) => (latch >>> shift) & 0xff);
    const wide = vga.dispiEnabled && vga.dispi[DISPI.bpp] === 4;
    this.#addresses = wide ? 0x4_0000 : 0x1_0000;
    this.#bank = wide ? vga.dispi[DISPI.bank] * 0x1_0000 : 0;
  }

  get words(): Uint32Array {
    return new Uint32Array(this.#planes.buffer);
  }

  /** The plane address of a byte, and which planes it may reach. */
  #place(offset: number): { at: number; reach: (plane: number) => boolean } {
    const { sequencer, graphics } = this.#vga;
    const at = (address: number) => ((address + this.#bank) % this.#addresses) * 4;
    if (sequencer[4] & 8) return { at: at(offset - (offset % 4)), reach: (plane) => plane === offset % 4 };
    const oddEven = graphics[6] & 2 && !(sequencer[4] & 4);
    if (oddEven) return { at: at(offset - (offset % 2)), reach: (plane) => plane % 2 === offset % 2 };
    return { at: at(offset), reach: () => true };
  }

  read(offset: number): number {
    const { sequencer, graphics } = this.#vga;
    const { at } = this.#place(offset);
    for (let plane = 0; plane < 4; plane++) this.#latch[plane] = this.#planes[at + plane];
    if (sequencer[4] & 8) return this.#latch[offset % 4];
    if (graphics[5] & 8) {
      let value = 0;
      for (let bit = 0; bit < 8; bit++) {
        const agrees = [0, 1, 2, 3].every(
          (plane) =>
            !((graphics[7] >> plane) & 1) || ((this.#latch[plane] >> bit) & 1) === ((graphics[2] >> plane) & 1),
        );
        if (agrees) value |= 1 << bit;
      }
      return value;
    }
    const oddEven = graphics[6] & 2 && !(sequencer[4] & 4);
    return this.#latch[oddEven ? (graphics[4] & 2) + (offset % 2) : graphics[4] & 3];
  }

  write(offset: number, value: number): void {
    const { sequencer, graphics } = this.#vga;
    const { at, reach } = this.#place(offset);
    const mode = graphics[5] & 3;
    const count = graphics[3] & 7;
    const rotated = ((value >> count) | (value << (8 - count))) & 0xff;
    for (let plane = 0; plane < 4; plane++) {
      if (!((sequencer[2] >> plane) & 1) || !reach(plane)) continue;
      let out = 0;
      for (let bit = 0; bit < 8; bit++) {
        const latched = (this.#latch[plane] >> bit) & 1;
        const setReset = (graphics[0] >> plane) & 1;
        let data: number;
        let masked = (graphics[8] >> bit) & 1;
        if (mode === 0) data = (graphics[1] >> plane) & 1 ? setReset : (rotated >> bit) & 1;
        else if (mode === 2) data = (value >> plane) & 1;
        else {
          data = setReset;
          masked &= (rotated >> bit) & 1;
        }
        const f = (graphics[3] >> 3) & 3;
        if (f === 1) data &= latched;
        else if (f === 2) data |= latched;
        else if (f === 3) data ^= latched;
        out |= (mode === 1 || !masked ? latched : data) << bit;
      }
      this.#planes[at + plane] = out;
    }
  }
}

export class PlanarGuest {
  readonly #memory: MachineMemory;
  readonly #core: CoreExports;
  readonly #view: StructView;

  /** @param module the core for unshared memory */
  constructor(memory: MachineMemory, module: WebAssembly.Module) {
    this.#memory = memory;
    memory.control.set(CONTROL.a20Mask, 0xffff_ffff);
    memory.control.set(CONTROL.tscHz, 1_000_000_000);
    this.#view = vcpuView(memory.memory.buffer, 0);
    resetVcpu(this.#view, 0, 0);
    let ms = 0;
    this.#core = instantiateCore(module, memory.memory, () => (ms += 0.001));
    this.#core.init(vcpuBase(0));
    memory.onCodeWrite = (page) => postDrop(this.#view, page);
  }

  /** The window or what it shows has moved. */
  moved(): void {
    this.#view.or(VCPU.attention, ATTENTION.FLUSH);
  }

  /**
   * Executes up to 24 accesses.
   *
   * @returns whether they went through the planes' logic
   * @throws Error that says what differs
   */
  run(vga: Vga, memory: VgaMemory, random: Random): boolean {
    const select = (vga.graphics[6] >> 2) & 3;
    const planar = this.#memory.control.words[this.#memory.control.index(CONTROL.vga) + 1] !== 0;
    const model = planar ? new Model(vga, memory.planes, memory.latch.value) : undefined;
    const code: number[] = [];
    const expected: number[] = [];
    const word = (n: number) => [n & 0xff, (n >> 8) & 0xff];
    const near = random.below(WINDOW_SIZES[select] - 64);
    for (let left = 1 + random.below(24); left; left--) {
      const offset = random.percent(70) ? near + random.below(48) : random.below(WINDOW_SIZES[select] - 8);
      const size = random.pick([1, 1, 1, 2, 4] as const);
      const value = random.u32();
      const bytes = Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
      const wide = size === 4 ? [0x66] : [];
      const to = word(RESULTS + expected.length);
      switch (random.below(4)) {
        case 0: // mov [es:offset], value
        case 1:
          code.push(...wide, 0x26, size === 1 ? 0xc6 : 0xc7, 0x06, ...word(offset), ...bytes);
          bytes.forEach((byte, i) => {
            model?.write(offset + i, byte);
          });
          break;
        case 2: // mov al, [es:offset]; mov [to], al
          code.push(...wide, 0x26, size === 1 ? 0xa0 : 0xa1, ...word(offset));
          code.push(...wide, size === 1 ? 0xa2 : 0xa3, ...to);
          expected.push(...bytes.map((_, i) => model?.read(offset + i) ?? 0));
          break;
        default: {
          // rep movsb inside the window, as write mode 1 is for
          const [from, into, count] = [near + random.below(32), near + random.below(32), 1 + random.below(12)];
          code.push(0xbe, ...word(from), 0xbf, ...word(into), 0xb9, ...word(count), 0xf3, 0x26, 0xa4);
          for (let i = 0; i < count; i++) {
            const read = model?.read(from + i) ?? 0;
            model?.write(into + i, read);
          }
        }
      }
    }
    code.push(0xf4);
    this.#execute(Uint8Array.from(code), WINDOWS[select]);
    if (!model) return false;
    const read = new Uint8Array(expected.length);
    this.#memory.read(RESULTS, read);
    const wrong = expected.findIndex((value, i) => value !== read[i]);
    if (wrong >= 0) throw new Error(`byte ${wrong} of what was read is ${read[wrong]}, not ${expected[wrong]}`);
    const { words } = model;
    const at = memory.planes.findIndex((value, i) => value !== words[i]);
    if (at >= 0)
      throw new Error(`the planes at ${at} are ${memory.planes[at].toString(16)}, not ${words[at].toString(16)}`);
    return true;
  }

  #execute(code: Uint8Array, window: number): void {
    const view = this.#view;
    this.#memory.write(CODE, code);
    view.set64(VCPU.rip, BigInt(CODE));
    view.set(VCPU.runState, 0);
    const segment = (name: "CS" | "DS" | "ES", base: number) =>
      setSegment(view, name, {
        selector: base >> 4,
        base: BigInt(base),
        limit: 0xffff,
        ar: name === "CS" ? 0x9b : 0x93,
      });
    segment("CS", 0);
    segment("DS", 0);
    segment("ES", window);
    this.#core.refresh(vcpuBase(0));
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      const why = this.#core.run(vcpuBase(0), 20_000n);
      if (why === RUN.HALT) return;
      if (why === RUN.EXIT && view.get(VCPU.exitCode) === EXIT.INST_EMUL) {
        // The window is closed: nobody answers.
        view.set64(VCPU.exitData, ~0n);
        this.#core.answer(vcpuBase(0));
      } else if (why !== RUN.SLICE) throw new Error(`the guest has left with ${why}, exit ${view.get(VCPU.exitCode)}`);
    }
    throw new Error("the guest does not come to its end");
  }
}
