/** A machine's sockets, cores and threads: what CPUID and the MADT tell its guest fit together. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { VmError } from "../../src/vmm/error.ts";
import { cleanUp, guest, machine, prepare, read32, SHARED, until } from "../vcpu/threads.ts";

beforeAll(prepare);
afterAll(cleanUp);

/** Leaves CPUID 0Bh's widths and numbers at SHARED, then a mark. */
const ASK = guest(`
  mov edi,${SHARED}
  xor esi,esi
level: mov eax,0xb
  mov ecx,esi
  cpuid
  mov [edi],eax
  mov [edi+4],ebx
  add edi,8
  inc esi
  cmp esi,2
  jb level
  mov dword [edi],1
  cli
  hlt`);

/** Local APIC ids of the MADT, found by its signature. */
function madtIds(m: Machine): number[] {
  const area = new Uint8Array(0x1_0000);
  m.memory.read(0xe_0000, area);
  const at = new TextDecoder("latin1").decode(area).indexOf("APIC");
  const view = new DataView(area.buffer, at);
  const ids: number[] = [];
  for (let i = 44; i < view.getUint32(4, true); i += view.getUint8(i + 1)) {
    if (view.getUint8(i) === 0 && view.getUint32(i + 4, true) & 1) ids.push(view.getUint8(i + 3));
  }
  return ids;
}

it("the MADT's APIC ids, taken apart as CPUID says, are the sockets, cores and threads asked for", async () => {
  for (const [sockets, cores, threads] of [
    [2, 2, 2],
    [1, 4, 2],
    [4, 2, 1],
    [1, 8, 1],
  ]) {
    const m = await machine(ASK, { transport: "inline", vcpus: 8, topology: { sockets, cores, threads } });
    await m.start();
    expect(await until(() => read32(m, SHARED + 16) === 1, 20_000)).toBe(true);
    const [threadBits, perCore, packageBits, perPackage] = [0, 4, 8, 12].map((at) => read32(m, SHARED + at));
    expect([perCore, perPackage]).toEqual([threads, threads * cores]);
    const ids = madtIds(m);
    const distinct = (bits: number): number => new Set(ids.map((id) => id >> bits)).size;
    expect([ids.length, distinct(packageBits), distinct(threadBits)]).toEqual([8, sockets, sockets * cores]);
    await m.destroy();
  }
});

it("refuses what cannot be, and a snapshot of a machine with another", async () => {
  const of = (sockets: number, cores: number, threads: number): Promise<Machine> =>
    machine(ASK, { transport: "inline", vcpus: 4, topology: { sockets, cores, threads } });
  await expect(of(1, 2, 1)).rejects.toBeInstanceOf(VmError);
  const one = await of(2, 2, 1);
  const file = await one.save();
  await (await of(2, 2, 1)).restore(file);
  await expect((await of(1, 4, 1)).restore(file)).rejects.toBeInstanceOf(SnapshotError);
});
