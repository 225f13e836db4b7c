/**
 * Posted writes: a guest that rings an NVMe controller's doorbells, and quiet doorbells, where a vCPU that puts an entry and
 * wakes nobody (assembly/posted.ts) meets a device that begins to wait for it.
 */
import { describe, expect, it, vi } from "vitest";
import { MemoryBlocks } from "../../src/block/memory.ts";
import { NVME_VENDOR } from "../../src/io/nvme/nvmeIdentify.ts";
import { EXIT } from "../../src/shared/exit.ts";
import { exhaust, explore, findFaults, type Scenario, type Steps, same } from "./interleave.ts";
import { guest, keeping, machine, read32, SHARED, until } from "./threads.ts";

vi.setConfig({ testTimeout: 60_000 });
const keep = keeping();

const REGISTERS = 0xe000_0000;
const [SQ, CQ, DATA] = [0x20_0000, 0x20_1000, 0x20_2000];
const DONE = SHARED;
const BAD = SHARED + 0x40;
const COMMANDS = 100;

const pci = (register: number, value: number): string =>
  `  mov dx,0xcf8\n  mov eax,0x80001800+${register}\n  out dx,eax\n  mov dx,0xcfc\n  mov eax,${value}\n  out dx,eax\n`;
const store = (register: number, value: string | number): string => `  mov dword [${REGISTERS + register}],${value}\n`;

/**
 * Identify, so many times, in queues of four entries. After every other doorbell it reads a register and the completion must
 * be there then; else it waits until it is.
 */
const identifies = guest(`
${pci(0x10, REGISTERS)}${pci(0x14, 0)}${pci(4, 6)}
${store(0x24, 0x3_0003)}${store(0x28, SQ)}${store(0x2c, 0)}${store(0x30, CQ)}${store(0x34, 0)}${store(0x14, 0x46_0001)}
  mov ebp,0
next:
  mov ebx,ebp
  and ebx,3
  mov ecx,ebx
  shl ebx,6
  mov eax,ebp
  shl eax,16
  or eax,6
  mov [${SQ}+ebx],eax
  mov dword [${SQ}+ebx+24],${DATA}
  mov dword [${SQ}+ebx+40],1
  inc ecx
  and ecx,3
  ; the phase of this round
  mov esi,ebp
  shr esi,2
  not esi
  and esi,1
  mov [${REGISTERS + 0x1000}],ecx
  shr ebx,2
  test ebp,1
  jz wait
  mov eax,[${REGISTERS + 0x1c}]
  mov eax,[${CQ}+ebx+12]
  shr eax,16
  and eax,1
  cmp eax,esi
  je there
  inc dword [${BAD}]
wait:
  mov eax,[${CQ}+ebx+12]
  mov edi,eax
  shr eax,16
  and eax,1
  cmp eax,esi
  jne wait
there:
  mov eax,[${CQ}+ebx+12]
  cmp ax,bp
  je ours
  inc dword [${BAD}]
ours:
  mov [${REGISTERS + 0x1004}],ecx
  inc ebp
  cmp ebp,${COMMANDS}
  jne next
  mov dword [${DONE}],1
end:
  hlt
  jmp end
`);

describe.each(["threaded", "inline"] as const)("doorbells of a machine, %s", (transport) => {
  it("are rung before the next access to the device, without an exit where the device has a thread", async () => {
    const cards = { nvme: [new MemoryBlocks(new Uint8Array(1 << 20))] };
    const m = keep(await machine(identifies, { transport, cards }));
    await m.start();
    expect(await until(() => read32(m, DONE) === 1, 50_000), "the guest has come to its end").toBe(true);
    expect(read32(m, BAD)).toBe(0);
    expect(read32(m, DATA) & 0xffff).toBe(NVME_VENDOR);
    // AQA, ASQ, ACQ and CC, and every other command's look at CSTS.
    const others = 6 + COMMANDS / 2;
    expect(m.exitCounts[EXIT.INST_EMUL]).toBe(transport === "threaded" ? others : others + 2 * COMMANDS);
  });
});

interface Fault {
  /** vCPU: looks whether the device waits before it puts its entry. */
  earlyLook?: boolean;
  /** Device thread: says that it waits and does not look into the ring after that. */
  noBell?: boolean;
}

/**
 * An NVMe guest that has taken a completion from a full queue says so by a quiet doorbell; at any time an answer of the
 * medium may be one for which there is no room.
 */
function scenario(fault: Fault = {}): Scenario {
  const m = { quiet: true, bell: 0, woken: 0 };
  const ring: string[] = [];
  let waits = false;
  let room = false;

  function* vcpu(): Steps {
    yield;
    const early = m.quiet;
    yield;
    ring.push("head");
    yield;
    m.bell++;
    yield;
    if (!(fault.earlyLook ? early : m.quiet)) {
      yield;
      m.bell++;
      m.woken++;
    }
  }

  function* device(): Steps {
    for (;;) {
      yield;
      const seen = m.bell;
      yield;
      if (ring.shift()) room = true;
      yield;
      // It sleeps if the bell is the same.
      const { woken } = m;
      if (m.bell === seen) yield () => m.woken !== woken;
    }
  }

  /** On the device's thread, while that loop sleeps or between two of its rounds. */
  function* medium(): Steps {
    yield;
    waits = true;
    m.quiet = false;
    if (fault.noBell) return;
    m.bell++;
    m.woken++;
  }

  return {
    sides: { vcpu: vcpu(), device: device(), medium: medium() },
    servers: ["device"],
    check: () => {
      same(waits, true, "the device waits");
      same(room, true, "it has room");
    },
  };
}

describe("a quiet doorbell", () => {
  it("is heard by a device that waits for it", () => {
    explore(() => scenario(), 2000);
  });

  it("is so under every schedule with few preemptions", () => {
    expect(exhaust(() => scenario(), 3)).toBeGreaterThan(50);
  });

  it("is checked by something that finds faults", () => {
    findFaults([{ earlyLook: true }, { noBell: true }], (fault) => scenario(fault));
  });
});
