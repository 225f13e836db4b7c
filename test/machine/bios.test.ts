/** Firmware: a ROM at the reset vector and below 1 MiB. */
import { beforeAll, describe, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { LoaderError } from "../../src/machine/loader/types.ts";
import { Machine } from "../../src/machine/machine.ts";
import { coreBytes } from "../core.ts";

let core: Uint8Array;
beforeAll(async () => {
  core = await coreBytes();
}, 300_000);

const SIZE = 0x2_0000;

/** A ROM of 128 KiB with code at F000:0000 and the reset vector's jump to it. */
function rom(code: string): Uint8Array {
  const image = new Uint8Array(SIZE).fill(0xff);
  image.set(assemble(`bits 16\norg 0\n${code}`).bytes, 0x1_0000);
  image.set([0xea, 0, 0, 0, 0xf0], SIZE - 16);
  image[0] = 0x5a;
  return image;
}

/** Runs firmware until it says that it is done; what it has written to COM1. */
async function run(bios: Uint8Array, starts = 1): Promise<string> {
  let text = "";
  let seen = 0;
  let done!: () => void;
  const ended = new Promise<void>((resolve) => {
    done = resolve;
  });
  const machine = await Machine.create({
    core,
    bios,
    memoryBytes: 0x40_0000,
    transport: "inline",
    debugExit: true,
    serial: (bytes) => {
      text += new TextDecoder().decode(bytes);
    },
    onState: (state, reason) => {
      if (state === "running") seen++;
      if (reason && state !== "running") {
        text += ` ${reason.kind}`;
        done();
      }
    },
  });
  await machine.start();
  await ended;
  await machine.destroy();
  expect(seen).toBe(starts);
  return text;
}

const PUT = `
put: mov dx,0x3f8
  out dx,al
  ret
end: mov al,0
  out 0xf4,al
  hlt`;

describe("firmware", () => {
  it("starts at the reset vector, and is read at both places but not written", async () => {
    const text = await run(
      rom(`
  mov al,[cs:letter]
  call put
  mov ax,0xe000
  mov ds,ax
  mov al,[0]
  call put
  mov byte [0],0x21
  mov al,[0]
  call put
  xor ax,ax
  mov ds,ax
  mov al,[0]
  add al,0x30
  call put
  jmp end
letter: db "A"
${PUT}`),
    );
    expect(text).toBe("AZZ0 debug-exit");
  });

  it("starts again after a reset", async () => {
    const text = await run(
      rom(`
  xor ax,ax
  mov ds,ax
  mov al,"R"
  call put
  inc byte [0x500]
  cmp byte [0x500],2
  je end
  mov al,6
  mov dx,0xcf9
  out dx,al
  hlt
${PUT}`),
      2,
    );
    expect(text).toBe("RR debug-exit");
  });

  it.each([0, 100, 0x20_1000])("of %i bytes is refused", async (size) => {
    const machine = Machine.create({
      core,
      bios: new Uint8Array(size),
      memoryBytes: 0x40_0000,
      transport: "inline",
      serial: () => {},
    });
    await expect(machine).rejects.toThrow(LoaderError);
  });
});
