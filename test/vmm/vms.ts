/** Virtual machines without a board, and small guests for them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { buildCore } from "../../scripts/build-core.mjs";
import { assemble } from "../../src/isa/assemble.ts";
import {
  type Transport,
  type Vcpu,
  VM_REG_GUEST,
  Vm,
  type VmConfig,
  type VmErrno,
  VmError,
} from "../../src/vmm/index.ts";
import { prepare, spawn } from "../vcpu/threads.ts";

const path = process.env.TABHYVE_CORE ?? join(import.meta.dirname, "../../dist/core/core.wasm");
let core: Uint8Array | undefined;

/** Compiles the core, once; with `threads` the worker too. */
export async function load(threads = false): Promise<void> {
  if (threads) await prepare();
  else if (!process.env.TABHYVE_CORE) await buildCore();
  core = readFileSync(path);
}

export const ORIGIN = 0x1000;
export const R = VM_REG_GUEST;

export function coreBytes(): Uint8Array {
  if (!core) throw new Error("load first");
  return core;
}

/** A vm with 2 MiB of RAM. */
export function makeVm<T extends Transport>(transport: T, config: Partial<VmConfig<T>> = {}): Promise<Vm<T>> {
  return Vm.create<T>({
    name: "test",
    core: coreBytes(),
    transport,
    memoryBytes: 0x20_0000,
    ...(transport === "threaded" && { spawn }),
    ...config,
  });
}

/** Puts assembled code at ORIGIN and lets vCPU `id` begin there in real mode, segments at 0, SP 1000h. */
export function place(vm: Vm, source: string, id = 0, at = ORIGIN): void {
  vm.memory.write(at, assemble(source.includes("org") ? source : `org 0x${at.toString(16)}\n${source}`).bytes);
  start(vm.vcpus[id], at);
}

export function start(vcpu: Vcpu, at: number): void {
  vcpu.setRegister(R.CS, 0n);
  vcpu.setSegDesc(R.CS, { base: 0n, limit: 0xffff, access: 0x9b });
  vcpu.setRegister(R.RIP, BigInt(at));
  vcpu.setRegister(R.RSP, 0x1000n);
}

/** An inline vm with a guest in it. */
export async function guest(source: string, config: Partial<VmConfig<"inline">> = {}): Promise<Vm<"inline">> {
  const vm = await makeVm("inline", config);
  place(vm, source);
  return vm;
}

/** Runs until anything but OUT; returns what was written, as "port=value", and how it ended. */
export function outputs(vcpu: Vcpu<"inline">): { out: string[]; end: ReturnType<Vcpu<"inline">["run"]> } {
  const out: string[] = [];
  for (;;) {
    const exit = vcpu.run();
    if (exit.exitcode !== "INOUT" || exit.inout.in) return { out, end: exit };
    out.push(`${exit.inout.port.toString(16)}=${exit.inout.eax.toString(16)}`);
  }
}

/** `call` must throw a VmError with this code. */
export function refuses(code: VmErrno, call: () => unknown): void {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(VmError);
  expect((thrown as VmError).code).toBe(code);
}

/** The same of a promise. */
export async function rejects(code: VmErrno, call: Promise<unknown>): Promise<void> {
  const thrown = await call.then(
    () => undefined,
    (error) => error,
  );
  expect(thrown).toBeInstanceOf(VmError);
  expect((thrown as VmError).code).toBe(code);
}
