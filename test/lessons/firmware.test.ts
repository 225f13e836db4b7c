/** The lessons' firmware: each service that docs/lessons.md names, called by a boot sector. */
import { afterEach, beforeAll, expect, it } from "vitest";
import { assemble } from "../../src/isa/assemble.ts";
import { type Ran, runImage } from "../../src/lessons/run.ts";
import { coreBytes } from "../core.ts";

let core: Uint8Array;
let ran: Ran | undefined;
beforeAll(async () => {
  core = await coreBytes();
}, 300_000);
afterEach(async () => {
  await ran?.destroy();
  ran = undefined;
});

/** Runs a boot sector whose first lines are made, up to `hang`; two more sectors follow it, full of 2 and 3. */
async function run(lines: string, ms = 50): Promise<{ ran: Ran; at: (gpa: number, length: number) => number[] }> {
  const source = `org 0x7c00
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov sp, 0x7c00
${lines}
hang:   cli
        hlt
        jmp hang
        times 510-($-$$) db 0
        dw 0xaa55
        times 512 db 2
        times 512 db 3`;
  const done = await runImage(assemble(source).bytes, { core, memoryBytes: 4 << 20, vcpus: 1, ms });
  ran = done;
  const at = (gpa: number, length: number): number[] => {
    const bytes = new Uint8Array(length);
    done.machine.memory.read(gpa, bytes);
    return [...bytes];
  };
  return { ran: done, at };
}

const word = ([low, high]: number[]): number => low | (high << 8);

it("reads sectors by cylinder, head and sector, and by their number; tells the geometry", async () => {
  const { ran: done, at } = await run(`
        mov ax, 0x0202
        mov cx, 2
        mov dx, 0x0080
        mov bx, 0x8000
        int 0x13
        setc [0x9000]
        mov si, packet
        mov ah, 0x42
        mov dl, 0x80
        int 0x13
        setc [0x9001]
        mov ah, 0x08
        mov dl, 0x80
        int 0x13
        mov [0x9002], cx
        mov [0x9004], dx
        mov ah, 0x41
        mov bx, 0x55aa
        mov dl, 0x80
        int 0x13
        mov [0x9006], bx
        mov ah, 0x55
        mov dl, 0x80
        int 0x13
        setc [0x9008]
        mov ah, 0x02
        mov dl, 0x00
        int 0x13
        setc [0x9009]
        jmp hang
packet: dw 16, 1, 0x0000, 0xa00
        dq 2`);
  expect(done.end).toBe("halted");
  expect(at(0x8000, 1024)).toEqual([...Array(512).fill(2), ...Array(512).fill(3)]);
  expect(at(0xa000, 512)).toEqual(Array(512).fill(3));
  expect(at(0x9000, 2)).toEqual([0, 0]);
  // 63 sectors, 16 heads, one disk.
  expect(word(at(0x9002, 2)) & 0x3f).toBe(63);
  expect(word(at(0x9004, 2))).toBe(0x0f01);
  expect(word(at(0x9006, 2))).toBe(0xaa55);
  expect(at(0x9008, 2)).toEqual([1, 1]);
});

it("tells how much memory there is, three ways", async () => {
  const { at } = await run(`
        int 0x12
        mov [0x9000], ax
        mov ah, 0x88
        int 0x15
        mov [0x9002], ax
        mov ax, 0xe801
        int 0x15
        mov [0x9004], ax
        xor ebx, ebx
        mov di, 0x9100
next:   mov eax, 0xe820
        mov edx, 0x534d4150
        mov ecx, 20
        int 0x15
        jc hang
        add di, 20
        inc word [0x9006]
        test ebx, ebx
        jnz next`);
  expect([0x9000, 0x9002, 0x9004, 0x9006].map((gpa) => word(at(gpa, 2)))).toEqual([640, 3072, 3072, 3]);
  const bytes = new DataView(Uint8Array.from(at(0x9100, 60)).buffer);
  const areas = [0, 20, 40].map((o) => [
    bytes.getBigUint64(o, true),
    bytes.getBigUint64(o + 8, true),
    bytes.getUint32(o + 16, true),
  ]);
  expect(areas).toEqual([
    [0n, 0xa0000n, 1],
    [0xf0000n, 0x10000n, 2],
    [0x100000n, 0x300000n, 1],
  ]);
});

it("begins with A20 off, switches it, and counts the timer's ticks", async () => {
  const { at } = await run(
    `
        mov ax, 0xffff
        mov fs, ax
        mov word [0x600], 1
        mov word [fs:0x610], 2
        mov ax, [0x600]
        mov [0x9000], ax
        mov ax, 0x2401
        int 0x15
        mov word [0x600], 1
        mov word [fs:0x610], 2
        mov ax, [0x600]
        mov [0x9002], ax
        sti
wait_t: hlt
        xor ah, ah
        int 0x1a
        cmp dx, 2
        jb wait_t
        mov [0x9004], dx`,
    200,
  );
  expect([0x9000, 0x9002, 0x9004].map((gpa) => word(at(gpa, 2)))).toEqual([2, 1, 2]);
});

it("prints as a teletype does, and moves the lines up", async () => {
  const { ran: done } = await run(`
        mov ah, 0x02
        mov dx, 0x1705
        int 0x10
        mov si, text
next:   lodsb
        test al, al
        jz hang
        mov ah, 0x0e
        int 0x10
        jmp next
text:   db "first", 13, 10, "second", 13, 10, "thirb", 8, "d", 0`);
  // Row 23, column 5; the third line is one too many.
  expect(done.screen.slice(22)).toEqual(["     first", "second", "third"]);
});

it("says what is wrong with a disk that does not boot", async () => {
  ran = await runImage(new Uint8Array(512), { core, memoryBytes: 4 << 20, vcpus: 1, ms: 50 });
  expect(ran.end).toBe("halted");
  expect(ran.screen[0]).toBe("Not a boot sector: its last two bytes are not 55 AA.");
});
