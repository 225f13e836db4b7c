/** What translations live through: MOV to CR3 and CR4, PCIDs, INVLPG, INVPCID (SDM vol. 3, 4.10), and windows of SMAP. */
import { beforeAll, describe, expect, test } from "vitest";
import { VCPU } from "../../src/shared/layout.ts";
import { guestMemory, loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 180_000);

/**
 * Two address spaces, roots 8000h and 1_0000h, which differ in what is at 20_0000h (PTE at 1_4000h and 1_3000h): the
 * pages at 2_0000h and 2_1000h, which begin with 0ah and 0bh. `see` shows what is there.
 */
const SPACES = `
  mov qword [resume],finish
  mov edi,0x10000
  mov ecx,0x1400
  xor eax,eax
  rep stosd
  mov dword [0x10000],0x11007
  mov dword [0x11000],0x12007
  mov dword [0x12000],0x87
  mov dword [0x12008],0x13007
  mov dword [0xa008],0x14007
  mov dword [0x13000],0x21007
  mov dword [0x13028],0x21007
  mov dword [0x14000],0x20007
  mov dword [0x20000],0xa
  mov dword [0x21000],0xb
  jmp begin
; Not the same place as the first one's in a direct-mapped TLB.
see_second:
  mov eax,[0x205000]
  out 0x10,eax
  ret
see:
  mov eax,[0x200000]
  out 0x10,eax
  ret
begin:
`;
const PCIDE = "  mov rax,cr4\n  or eax,0x20000\n  mov cr4,rax\n";
const GLOBAL = "  mov rax,cr4\n  or al,0x80\n  mov cr4,rax\n";
const TOGGLE_PGE = "  mov rax,cr4\n  xor al,0x80\n  mov cr4,rax\n";
/** The first space's page is a supervisor's, in every context. */
const GLOBAL_PAGE = `${GLOBAL}  mov word [0x14000],0x103\n`;
/** MOV to CR3; `keep` sets bit 63. */
const cr3 = (value: number, keep = false): string =>
  `  mov eax,${value}\n${keep ? "  mov rbx,0x8000000000000000\n  or rax,rbx\n" : ""}  mov cr3,rax\n`;
const KEEP = true;
const SEE = "  call see\n";
const SEE_SECOND = "  call see_second\n";
/** Lets the first space's page be the other one, without a word to the TLB. */
const CHANGE = "  mov byte [0x14001],0x10\n";
const invpcid = (type: number, pcid: number, linear: number): string => `
  mov qword [0x5000],${pcid}
  mov rax,${linear}
  mov [0x5008],rax
  mov eax,${type}
  invpcid rax,[0x5000]
`;
const run = (body: string, cpu = "max"): string[] =>
  runGuest(longGuest(SPACES + body), { cpu })
    .out.filter((o) => o.startsWith("10="))
    .map((o) => o.slice(3));
const GP = ["d", "0"];

describe("MOV to CR3", () => {
  test("drops translations", () => {
    expect(run(SEE + CHANGE + SEE + cr3(0x8000) + SEE)).toEqual(["a", "a", "b"]);
    expect(run(SEE + cr3(0x10000) + SEE + cr3(0x8000) + SEE)).toEqual(["a", "b", "a"]);
  });
  test("keeps those of global pages of supervisors, which other changes drop", () => {
    const page = GLOBAL_PAGE;
    expect(run(page + SEE + CHANGE + cr3(0x8000) + SEE)).toEqual(["a", "a"]);
    expect(run(`${page}${SEE}${CHANGE}  invlpg [0x200000]\n${SEE}`)).toEqual(["a", "b"]);
    expect(run(page + SEE + CHANGE + TOGGLE_PGE + SEE)).toEqual(["a", "b"]);
    // Without CR4.PGE, G means nothing.
    expect(run(`  mov word [0x14000],0x103\n${SEE}${CHANGE}${cr3(0x8000)}${SEE}`)).toEqual(["a", "b"]);
  });
  test("refuses addresses that there are not", () => {
    expect(run("  mov rax,0x10000008000\n  mov cr3,rax\n").slice(0, 2)).toEqual(GP);
    expect(run(cr3(0x8000, KEEP)).slice(0, 2)).toEqual(GP);
  });
});

describe("code of supervisors", () => {
  /** 20_0000h is code that gives ah in the first space, bh in the second. */
  const code = `
  mov dword [0x20000],0xab8
  mov word [0x20004],0xc300
  mov dword [0x21000],0xbb8
  mov word [0x21004],0xc300
`;
  const go = "  mov eax,0x200000\n  call rax\n  call put\n";
  const first = cr3(0x8000) + go;
  const second = cr3(0x10000) + go;
  test("is what each space has there", () => {
    expect(run(code + GLOBAL + first + second + first + second)).toEqual(["a", "b", "a", "b"]);
    expect(run(code + first + second + first)).toEqual(["a", "b", "a"]);
    expect(run(code + GLOBAL + PCIDE + cr3(0x8001) + go + cr3(0x10002) + go + cr3(0x8001, KEEP) + go)).toEqual([
      ..."aba",
    ]);
  });
  test("in a global page stays through changes of CR3, until it is flushed", () => {
    const page = code + GLOBAL_PAGE;
    expect(run(page + first + CHANGE + first)).toEqual(["a", "a"]);
    expect(run(`${page}${first}${CHANGE}  invlpg [0x200000]\n${go}`)).toEqual(["a", "b"]);
    expect(run(page + first + CHANGE + TOGGLE_PGE + go)).toEqual(["a", "b"]);
    // Code of this space's own in between.
    const own = "  mov dword [0x1302c],0\n  mov dword [0x1402c],0\n  mov dword [0x14028],0x21007\n";
    const elsewhere = "  mov eax,0x205000\n  call rax\n  call put\n";
    expect(run(page + own + first + elsewhere + CHANGE + first)).toEqual(["a", "b", "a"]);
  });
  test("that is written to is the new code in every space", () => {
    const write = "  mov byte [0x20001],0xc\n";
    const page = code + GLOBAL_PAGE;
    expect(run(page + first + write + first)).toEqual(["a", "c"]);
  });
});

describe("process-context identifiers", () => {
  test("keep the translations of several spaces", () => {
    const both = PCIDE + cr3(0x8001) + SEE + cr3(0x10002) + SEE_SECOND + CHANGE;
    expect(run(both + cr3(0x8001, KEEP) + SEE)).toEqual(["a", "b", "a"]);
    expect(run(both + cr3(0x8001) + SEE)).toEqual(["a", "b", "b"]);
    // The PCID alone says which they are.
    expect(run(both + cr3(0x8002, KEEP) + SEE)).toEqual(["a", "b", "b"]);
    expect(run(both + cr3(0x8003, KEEP) + SEE)).toEqual(["a", "b", "b"]);
  });
  test("of more spaces than there is room for", () => {
    const many = Array.from({ length: 40 }, (_, i) => cr3(0x10010 + i) + SEE_SECOND).join("");
    const seen = Array<string>(40).fill("b");
    expect(run(PCIDE + cr3(0x8001) + SEE + many + CHANGE + cr3(0x8001, KEEP) + SEE)).toEqual(["a", ...seen, "b"]);
  });
  test("INVLPG drops a page in every space", () => {
    const both = PCIDE + cr3(0x8001) + SEE + cr3(0x10002) + SEE_SECOND + CHANGE;
    expect(run(`${both}  invlpg [0x200000]\n${cr3(0x8001, KEEP)}${SEE}`)).toEqual(["a", "b", "b"]);
  });
  test("CR4.PCIDE wants long mode and PCID 0, and paging then stays on", () => {
    expect(run(cr3(0x8001) + PCIDE).slice(0, 2)).toEqual(GP);
    expect(run(PCIDE, "max,-pcid").slice(0, 2)).toEqual(GP);
    expect(run(`${PCIDE}  mov rax,cr0\n  btr rax,31\n  mov cr0,rax\n`).slice(0, 2)).toEqual(GP);
  });
  test("clearing CR4.PCIDE drops everything", () => {
    const body = PCIDE + SEE + cr3(0x10002) + SEE_SECOND + CHANGE + cr3(0x8000, KEEP) + SEE;
    expect(run(`${body}  mov rax,cr4\n  btr rax,17\n  mov cr4,rax\n${SEE}`)).toEqual(["a", "b", "a", "b"]);
  });
  test("CR3 reads back without bit 63", () => {
    const show = "  mov rax,cr3\n  call put\n  shr rax,32\n  call put\n";
    expect(run(PCIDE + cr3(0x8005, KEEP) + show)).toEqual(["8005", "0"]);
  });
});

describe("INVPCID", () => {
  const both = PCIDE + cr3(0x8001) + SEE + cr3(0x10002) + SEE_SECOND + CHANGE;
  const back = cr3(0x8001, KEEP) + SEE;
  test.each([
    ["0: one page of another space", 0, 1, 0x20_0000],
    ["1: another space", 1, 1, 0],
    ["2: everything", 2, 0, 0],
    ["3: everything but global pages", 3, 0, 0],
  ])("type %s", (_, type, pcid, linear) => {
    expect(run(both + invpcid(type, pcid, linear) + back)).toEqual(["a", "b", "b"]);
  });
  test("type 1 leaves other spaces alone", () => {
    expect(run(both + invpcid(1, 2, 0) + back)).toEqual(["a", "b", "a"]);
  });
  test("global pages go with type 2 only", () => {
    const page = GLOBAL_PAGE + SEE + CHANGE;
    expect(run(page + invpcid(3, 0, 0) + SEE)).toEqual(["a", "a"]);
    expect(run(page + invpcid(1, 0, 0) + SEE)).toEqual(["a", "a"]);
    expect(run(page + invpcid(2, 0, 0) + SEE)).toEqual(["a", "b"]);
  });
  test.each([
    ["a type that there is not", 4, 0, 0],
    ["reserved bits of the descriptor", 2, 0x1000, 0],
    ["a PCID without CR4.PCIDE", 1, 1, 0],
    ["an address that is not canonical", 0, 0, 0x8000_0000_0000],
  ])("refuses %s", (_, type, pcid, linear) => {
    expect(run(invpcid(type, pcid, linear)).slice(0, 2)).toEqual(GP);
  });
  test("is #UD without the feature", () => {
    expect(run(invpcid(0, 0, 0), "max,-invpcid").slice(0, 2)).toEqual(["6", "0"]);
  });
});

describe("INVLPG on a large page", () => {
  const show = (linear: number): string => `  mov eax,[${linear}]\n  call put\n`;
  test("of 2 MiB drops all of it", () => {
    // 60_0000h: the second 2 MiB of RAM, then the first.
    const body = `
  mov dword [0xa018],0x200087
  mov dword [0xa008],0x200087
  mov dword [0x220000],0x22
  mov dword [0x221000],0x23
${show(0x62_0000)}${show(0x62_1000)}
  mov dword [0xa018],0x87
  invlpg [0x6ff000]
${show(0x62_0000)}${show(0x62_1000)}`;
    expect(run(body)).toEqual(["22", "23", "a", "b"]);
  });
  test("of 1 GiB drops all of it", () => {
    const body = `
  mov dword [0x9008],0x87
${show(0x4002_0000)}${show(0x4002_1000)}
  mov dword [0x9008],0x12007
  mov dword [0x12000],0x200087
  invlpg [0x50000000]
${show(0x4002_0000)}${show(0x4002_1000)}`;
    expect(run(body)).toEqual(["a", "b", "0", "0"]);
  });
  test("1 GiB pages are a feature", () => {
    const body = `  mov dword [0x9008],0x87\n${show(0x4002_0000)}`;
    expect(run(body, "max,-pdpe1gb").slice(0, 2)).toEqual(["e", "9"]);
  });
});

describe("pages of every space", () => {
  const flush = "  mov rax,cr4\n  xor al,0x80\n  mov cr4,rax\n";
  const page = `${GLOBAL}  mov word [0x14000],0x103\n`;
  test("follow to spaces and back, until all is flushed", () => {
    const there = PCIDE + cr3(0x8001) + SEE + CHANGE + cr3(0x10002) + SEE + cr3(0x8001, KEEP) + SEE + cr3(0x8003) + SEE;
    expect(run(page + there + flush + SEE + cr3(0x10002, KEEP) + SEE)).toEqual(["a", "a", "a", "a", "b", "b"]);
  });
  test("more of them than are kept in mind", () => {
    // All 512 pages of the 2 MiB are the page at 2_0000h, then the one at 2_1000h; their sum is shown.
    const all = (byte: number): string => `
  mov edi,0x14000
  mov ecx,512
fill${byte}:
  mov dword [rdi],${(byte << 12) | 0x103}
  add edi,8
  loop fill${byte}
`;
    let n = 0;
    const sum = (): string => `
  mov esi,0x200000
  mov ecx,512
  xor edx,edx
sum${++n}:
  add edx,[rsi]
  add esi,0x1000
  loop sum${n}
  mov eax,edx
  out 0x10,eax
`;
    const body = GLOBAL + all(0x20) + sum() + cr3(0x8000) + sum() + all(0x21) + flush + sum() + cr3(0x8000) + sum();
    expect(run(body)).toEqual(["1400", "1400", "1600", "1600"]);
  });
});

describe("the CPU's own reads", () => {
  // The GDT's page is seen at 20_0000h, too; there its second copy says that 10h is not present.
  const tables = `
  mov esi,gdt
  and esi,0xfffff000
  mov edi,0x20000
  mov ecx,0x400
  rep movsd
  mov eax,gdt
  and eax,0xfff
  mov byte [rax+0x20015],0x13
  mov edx,gdt
  and edx,0xfffff000
  or edx,3
  mov [0x14000],edx
  mov rax,cr3
  mov cr3,rax
  mov eax,gdt
  and eax,0xfff
  add rax,0x200000
  mov word [0x5010],0x3f
  mov [0x5012],rax
  lgdt [0x5010]
`;
  const load = "  mov ax,0x10\n  mov ds,ax\n  mov eax,1\n  out 0x10,eax\n";
  const other = "  mov dword [0x14000],0x20003\n";
  test("of descriptors come from the TLB until the page is flushed", () => {
    expect(run(`${tables}${load}${other}  invlpg [0x200000]\n${load}`)).toEqual(["1", "b", "10"]);
    expect(run(tables + load + other + cr3(0x8000) + load)).toEqual(["1", "b", "10"]);
  });
});

describe("INVLPG on a page of code", () => {
  test("has the code of its new page run, and only then", () => {
    const code = (at: number, value: number): string =>
      `  mov dword [${at}],${(value << 8) | 0xb8}\n  mov word [${at + 4}],0xc300\n`;
    const show = "  mov ebx,0x200000\n  call rbx\n  out 0x10,eax\n";
    const body = code(0x20000, 1) + code(0x21000, 2) + show + show + CHANGE;
    expect(run(`${body}  invlpg [0x205000]\n${show}  invlpg [0x200000]\n${show}`)).toEqual(["1", "1", "1", "2"]);
  });
});

/** SDM vol. 3, 4.6.1. The first 2 MiB become the supervisor's; user code is at 20_5000h. */
describe("SMAP", () => {
  const SMAP = `
  mov dword [0x14028],0x22007
  mov dword [0xa000],0x83
  mov rax,cr4
  bts rax,21
  mov cr4,rax
`;
  const OPEN = "  stac\n",
    CLOSE = "  clac\n";
  const user = (...bytes: number[]): string =>
    `${bytes.map((byte, i) => `  mov byte [${0x22000 + i}],${byte}\n`).join("")}`;
  const READS = user(0x8b, 0x04, 0x25, 0, 0, 0x20, 0, 0x0f, 0x0b);
  const WRITES = user(0x89, 0x04, 0x25, 0, 0, 0x20, 0, 0x0f, 0x0b);
  let n = 0;
  /** Runs the user's code, which ends in UD2, and goes on behind. */
  const asUser = (): string => `
  mov qword [resume],back${++n}
  push 0x23
  push 0x205800
  push 2
  push 0x2b
  push 0x205000
  iretq
back${n}:
  mov rsp,0x6000
  mov qword [resume],finish
`;
  test("lets the supervisor see a user's page while AC is set, and no longer", () => {
    expect(run(SMAP + OPEN + SEE + CLOSE + SEE)).toEqual(["a", "e", "1"]);
    expect(run(SMAP + OPEN + SEE + CLOSE + OPEN + SEE + SEE + CLOSE + SEE)).toEqual(["a", "a", "a", "e", "1"]);
    // POPF closes the window, too.
    expect(run(`${SMAP}${OPEN}${SEE}  push 2\n  popf\n${SEE}`)).toEqual(["a", "e", "1"]);
  });
  test("each of many pages", () => {
    const pages = Array.from({ length: 12 }, (_, i) => i + 8);
    const map = pages.map((i) => `  mov dword [${0x14000 + i * 8}],0x20007\n`).join("");
    const see = (i: number): string => `  mov eax,[${0x20_0000 + i * 0x1000}]\n  out 0x10,eax\n`;
    const refused = pages.map((i) => `  mov qword [resume],refused${i}\n${see(i)}refused${i}:\n`).join("");
    expect(run(SMAP + map + OPEN + pages.map(see).join("") + CLOSE + refused)).toEqual([
      ...pages.map(() => "a"),
      ...pages.flatMap(() => ["e", "1"]),
    ]);
  });
  test("leaves the user what is the user's", () => {
    expect(run(READS + SMAP + asUser() + OPEN + SEE + CLOSE + asUser() + SEE)).toEqual([
      "6",
      "0",
      "a",
      "6",
      "0",
      "e",
      "1",
    ]);
    const write = "  mov dword [0x200004],1\n";
    expect(run(WRITES + SMAP + OPEN + write + CLOSE + asUser())).toEqual(["6", "0"]);
    expect(run(`${WRITES}${SMAP}  mov dword [0x14000],0x20005\n${OPEN}${SEE}${CLOSE}${asUser()}`)).toEqual([
      "a",
      "e",
      "7",
    ]);
  });
  test("gives the user no page that only the supervisor could write, CR0.WP being clear", () => {
    const unprotected = "  mov rax,cr0\n  btr rax,16\n  mov cr0,rax\n";
    const body = `${WRITES}${SMAP}  mov dword [0x14000],0x20005\n${unprotected}${OPEN}  mov dword [0x200004],1\n${CLOSE}`;
    expect(run(body + asUser())).toEqual(["e", "7"]);
  });
});

test("an address that compatibility mode wraps at 4 GiB is another one in 64-bit mode", () => {
  const body = `
  mov rsp,0x7000
  mov eax,0x23
  mov ds,eax
  push 0x23
  push 0x5000
  push 0x3002
  push 0x1b
  push compatible
  iretq
bits 32
compatible:
  mov ebx,0xfffff000
  mov eax,[ebx+0x21000] ; 2_0000h
  jmp 0x2b:wide
bits 64
wide:
  mov rbx,0x100020000
  mov eax,[rbx] ; not mapped
`;
  const r = runGuest(longGuest(SPACES + body));
  expect(r.out.filter((o) => o.startsWith("10=")).slice(0, 2)).toEqual(["10=e", "10=4"]);
  expect(r.view.get64(VCPU.cr2)).toBe(0x1_0002_0000n);
});

test("a vCPU that is set up on used memory knows nothing of what was translated there", () => {
  const memory = guestMemory();
  const see = (page: number): string[] =>
    runGuest(longGuest(`${SPACES}  mov dword [0x14000],${page}\n${SEE}`), { memory }).out.filter((o) =>
      o.startsWith("10="),
    );
  expect(see(0x20007)).toEqual(["10=a"]);
  expect(see(0x21007)).toEqual(["10=b"]);
});
