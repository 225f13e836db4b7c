/** The protocols between threads, with real threads: the compiled core in workers, the machine here. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Machine, MachineState, StopReason } from "../../src/machine/machine.ts";
import type { Width } from "../../src/shared/device.ts";
import { AREA, VCPU } from "../../src/shared/layout.ts";
import { random } from "./interleave.ts";
import {
  cleanUp,
  guest,
  machine,
  pass,
  prepare,
  read32,
  type Settings,
  SHARED,
  sleep,
  until,
  write32,
} from "./threads.ts";

const PORT = 0x5e0;
/** One dword for each vector. */
const POSTED = SHARED;
const SEEN = SHARED + 0x400;
const COUNT = SHARED + 0x800;
const READY = SHARED + 0xc00;
const VECTORS = Array.from({ length: 16 }, (_, i) => 0x40 + i);
const TIMER = 0x30;
const BOTH = ["threaded", "inline"] as const;

let running: Machine | undefined;
async function start(source: string, settings?: Settings): Promise<Machine> {
  running = await machine(source, settings);
  return running;
}

// A busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 });
beforeAll(prepare, 120_000);
afterEach(async () => {
  await running?.destroy();
  running = undefined;
});
afterAll(cleanUp);

/** Keeps this thread busy for up to `us` microseconds. */
function spin(us: number): void {
  for (const end = performance.now() + us / 1000; performance.now() < end; );
}

/** Notes what the host has left for the vector; ends the interrupt. */
const noting = (vector: number): string => `
  push eax
  mov eax,[${POSTED + vector * 4}]
  mov [${SEEN + vector * 4}],eax
  inc dword [${COUNT + vector * 4}]
  mov dword [0xfee000b0],0
  pop eax
  iretd`;

const posting = (timer: boolean): string =>
  guest(
    `
  mov dword [0xfee000f0],0x1ff
${timer ? `  mov dword [0xfee003e0],11\n  mov dword [0xfee00320],${0x20000 | TIMER}\n  mov dword [0xfee00380],100000` : ""}
  mov dword [${READY}],1
  sti
busy:
  mov ecx,[${SHARED + 0xc04}]
again:
  sub ecx,1
  jns again
  hlt
  jmp busy`,
    noting,
  );

describe("with real threads", () => {
  it("delivers what is posted while the machine is being paused", async () => {
    const m = await start(posting(false));
    await m.start();
    expect(await until(() => read32(m, READY) === 1)).toBe(true);
    const next = random(11);
    for (let n = 1; n <= 300; n++) {
      const paused = m.pause();
      // The vCPU is told to stop in a microtask from now.
      await Promise.resolve();
      spin(next() * 30);
      write32(m, POSTED + 0x44 * 4, n);
      m.board.apics[0].post(0x44, false);
      await paused;
      await m.resume();
      expect(await until(() => read32(m, SEEN + 0x44 * 4) === n, 1000), `interrupt ${n}`).toBe(true);
    }
  });

  it("delivers every posted interrupt, with a timer of the guest's own", async () => {
    const m = await start(posting(true));
    await m.start();
    expect(await until(() => read32(m, READY) === 1)).toBe(true);
    const next = random(7);
    const posts = new Map(VECTORS.map((v) => [v, 0]));
    for (let round = 0; round < 300; round++) {
      // Now the guest sleeps most of the time, now it is busy.
      if (round % 20 === 0) write32(m, SHARED + 0xc04, round % 40 ? 0 : 3000);
      for (let i = 0; i < 20; i++) {
        const vector = VECTORS[Math.floor(next() * VECTORS.length)];
        const n = posts.get(vector)! + 1;
        posts.set(vector, n);
        write32(m, POSTED + vector * 4, n);
        expect(m.board.apics[0].post(vector, false)).toBe(true);
        spin(next() * 20);
        if (next() < 0.02) {
          void m.pause();
          if (next() < 0.5) await pass();
          void m.resume();
        }
      }
      if (round % 3 === 0) await pass();
      // Nothing else comes for a while: what is pending must not wait for it.
      if (round % 50 === 49) {
        const left = () => VECTORS.filter((v) => read32(m, SEEN + v * 4) !== posts.get(v));
        expect(await until(() => !left().length, 1500), `pending: ${left()}`).toBe(true);
      }
    }
    // However fast the rounds were: the timer, which stood still in the pauses, goes on after them.
    const ticks = read32(m, COUNT + TIMER * 4);
    expect(await until(() => read32(m, COUNT + TIMER * 4) > ticks + 20)).toBe(true);
    await m.pause();
    expect(m.state).toBe("paused");
    for (const v of VECTORS) expect(read32(m, COUNT + v * 4)).toBeLessThanOrEqual(posts.get(v)!);
    const view = m.view();
    for (let i = 0; i < 8; i++) expect(view.data.getUint32(view.base + AREA.PIR + i * 4, true)).toBe(0);
  });

  it("wakes a halted vCPU, on the inline transport too", async () => {
    for (const transport of BOTH) {
      const m = await start(posting(false), { transport });
      await m.start();
      expect(await until(() => read32(m, READY) === 1)).toBe(true);
      // No timer runs that could wake it as well.
      for (let n = 1; n <= 20; n++) {
        await sleep(2);
        write32(m, POSTED + 0x41 * 4, n);
        m.board.apics[0].post(0x41, false);
        expect(await until(() => read32(m, SEEN + 0x41 * 4) === n), `${transport}, interrupt ${n}`).toBe(true);
      }
      await m.destroy();
    }
  });

  it.each([
    ["threaded", 1],
    ["threaded", 64],
    ["inline", 1],
  ] as const)(
    "carries out every port access once and in order, however often paused (%s, %i cores)",
    async (transport, hostCores) => {
      let writes = 0;
      let reads = 0;
      let serial = 0;
      const wrong: string[] = [];
      const m = await start(
        guest(`
  xor ebx,ebx
again:
  inc ebx
  mov eax,ebx
  mov dx,${PORT}
  out dx,eax
  in eax,dx
  mov dx,${PORT + 4}
  out dx,eax
  mov dx,0x3f8
  mov al,bl
  out dx,al
  jmp again`),
        {
          transport,
          hostCores,
          serial: (bytes) => {
            for (const b of bytes) if (b !== (++serial & 0xff)) wrong.push(`byte ${serial}: ${b}`);
          },
        },
      );
      m.board.ports.attach(PORT, 8, {
        read: () => ++reads,
        write: (offset: number, _size: Width, value: number) => {
          if (offset === 0 && value !== ++writes) wrong.push(`write ${writes}: ${value}`);
          if (offset === 0 && serial !== writes - 1) wrong.push(`write ${writes} after byte ${serial}`);
          if (offset === 4 && (value !== reads || reads !== writes)) wrong.push(`read ${reads} came back as ${value}`);
        },
      });
      const next = random(3);
      await m.start();
      for (let i = 0; i < (transport === "threaded" ? 200 : 40) || writes <= 500; i++) {
        for (const end = performance.now() + next() * 4; performance.now() < end; ) await pass();
        const before = m.view().get(VCPU.icount);
        await m.pause();
        expect(m.state).toBe("paused");
        const stopped = m.view().get(VCPU.icount);
        expect(stopped).toBeGreaterThanOrEqual(before);
        if (i % 10 === 0) await sleep(1);
        expect(m.view().get(VCPU.icount)).toBe(stopped);
        expect(m.view().get(VCPU.slow)).toBe(0);
        await m.resume();
      }
      await m.pause();
      expect(wrong).toEqual([]);
    },
  );

  it("executes what the host has written after a flag that the host wrote later", async () => {
    const CODE = 0x14_0000;
    const FLAG = SHARED;
    const ACK = SHARED + 4;
    const BAD = SHARED + 8;
    const m = await start(
      guest(`
again:
  mov dl,[${FLAG}]
  call ${CODE}
  mov [${ACK}],al
  sub al,dl
  jns again
  inc dword [${BAD}]
  jmp again`),
    );
    // MOV AL, version; RET. One byte changes, so there is no half-written version.
    m.memory.write(CODE, Uint8Array.of(0xb0, 0, 0xc3));
    await m.start();
    const ack = new Uint8Array(1);
    const next = random(5);
    let version = 0;
    while (version < 4000) {
      for (let i = 0; i < 200; i++) {
        version++;
        m.memory.write(CODE + 1, Uint8Array.of(version));
        m.memory.write(FLAG, Uint8Array.of(version));
        spin(next() * 10);
        for (;;) {
          m.memory.read(ACK, ack);
          if (((version - ack[0]) & 0xff) < 60) break;
          await pass();
        }
      }
      await pass();
    }
    const caughtUp = () => {
      m.memory.read(ACK, ack);
      return ack[0] === (version & 0xff);
    };
    expect(await until(caughtUp)).toBe(true);
    expect(read32(m, BAD)).toBe(0);
    await m.pause();
    // Versions that the vCPU has not seen one by one went in one drop; it is never 60 behind.
    expect(m.stats().counters.blocksBuilt).toBeGreaterThan(4000 / 60);
  });

  it("loses no device deadline", async () => {
    const TICKS = SHARED;
    const m = await start(
      guest(
        `
  mov al,0x11
  out 0x20,al
  mov al,0x30
  out 0x21,al
  mov al,4
  out 0x21,al
  mov al,1
  out 0x21,al
  mov al,0xfe
  out 0x21,al
  mov al,0x34
  out 0x43,al
  mov al,239
  out 0x40,al
  xor eax,eax
  out 0x40,al
  sti
again:
  mov ecx,2000
busy:
  dec ecx
  jnz busy
  in al,0x61
  hlt
  jmp again`,
        (vector) =>
          vector === 0x30 ? `push eax\ninc dword [${TICKS}]\nmov al,0x20\nout 0x20,al\npop eax\niretd` : "iretd",
      ),
    );
    await m.start();
    for (let i = 0; i < 10; i++) {
      const before = read32(m, TICKS);
      expect(await until(() => read32(m, TICKS) > before + 40, 1500), `5 kHz, after ${before} ticks`).toBe(true);
      await m.pause();
      await m.resume();
      await sleep(20);
    }
  });

  it.each(BOTH)("stops, restarts and switches off in the middle of an exit (%s)", async (transport) => {
    const BOOTS = 25;
    const reports: number[] = [];
    const states: [MachineState, StopReason["kind"] | undefined][] = [];
    const m = await start(
      guest(`
  mov dx,${PORT}
  call code
  out dx,eax
  mov byte [code+1],2
  call code
  out dx,eax
  in eax,dx
  mov ecx,eax
  dec ecx
  jns wait
  mov dx,0xf4
  xor eax,eax
  out dx,al
wait:
  loop wait
  mov al,6
  mov dx,0xcf9
  out dx,al
  inc dword [${SHARED}]
  jmp wait
align 64
code:
  mov eax,1
  ret`),
      { transport, onState: (state, reason) => states.push([state, reason?.kind]) },
    );
    const next = random(9);
    m.board.ports.attach(PORT, 4, {
      read: () => (reports.length === BOOTS * 2 ? 0 : 1 + Math.floor(next() * 200_000)),
      write: (_offset: number, _size: Width, value: number) => void reports.push(value),
    });
    await m.start();
    while (m.state !== "off") {
      expect(reports.length, String(states.at(-1))).toBeLessThanOrEqual(BOOTS * 2);
      await sleep(next() * 3);
      void m.pause();
      if (next() < 0.5) await pass();
      void m.resume();
    }
    // The image is loaded anew at each boot, over code that the guest had changed and executed.
    expect(reports).toEqual(Array.from({ length: BOOTS * 2 }, (_, i) => 1 + (i & 1)));
    expect(states.filter(([, why]) => why === "reset").length).toBe(BOOTS - 1);
    expect(states.at(-1)).toEqual(["off", "debug-exit"]);
    expect(read32(m, SHARED)).toBe(0);
    await m.resume();
    await m.pause();
    expect(m.state).toBe("off");
  });

  it("ends the machine, and stops, when a device model throws", async () => {
    const states: [MachineState, StopReason | undefined][] = [];
    const m = await start(guest(`mov dx,${PORT}\nin eax,dx\nhalt: jmp halt`), {
      onState: (state, reason) => states.push([state, reason]),
    });
    m.board.ports.attach(PORT, 4, {
      read: () => {
        throw new Error("made to fail");
      },
      write: () => {},
    });
    await m.start();
    expect(await until(() => m.state === "failed")).toBe(true);
    expect(states.at(-1)?.[1]).toEqual({ kind: "engine-error", message: "made to fail" });
  });

  it("stays off when the user switches it off while the guest asks for a reset", async () => {
    for (let i = 0; i < 10; i++) {
      let asked = false;
      const states: MachineState[] = [];
      const m = await start(guest(`mov dx,${PORT}\nin eax,dx\nmov al,6\nmov dx,0xcf9\nout dx,al\nhalt: jmp halt`), {
        onState: (state) => states.push(state),
      });
      m.board.ports.attach(PORT, 4, {
        read: () => {
          asked = true;
          void m.powerOff();
          return 0;
        },
        write: () => {},
      });
      await m.start();
      await until(() => asked && m.state === "off");
      await sleep(3);
      expect(m.state).toBe("off");
      await m.destroy();
    }
  });
});
