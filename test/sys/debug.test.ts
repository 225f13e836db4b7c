/** Debug exceptions: single steps, breakpoints, DR6 and what comes first; run by small guests in 64-bit mode. */
import { beforeAll, describe, expect, test } from "vitest";
import { loadCore, runGuest } from "./guest.ts";
import { longGuest } from "./longGuest.ts";

beforeAll(loadCore, 180_000);

/**
 * Runs `body` in ring 0 with a handler for #DB that notes "RIP - here : DR6 (low 16 bits)", clears DR6 and returns with
 * [keep] and [add] applied to RFLAGS. TF is bit 8, RF bit 16. What the body writes to port 20h follows a "=".
 */
const events = (body: string, data = "", extra = ""): string[] => {
  const result = runGuest(
    longGuest(
      `  mov eax,db
  mov [0xc010],ax
${body}
  jmp finish
db: push rax
  mov eax,[rsp+8]
  sub eax,here
  out 0x11,ax
  mov rax,dr6
  out 0x12,ax
  xor eax,eax
  mov dr6,rax
  mov eax,[keep]
  and [rsp+24],eax
  mov eax,[add]
  or [rsp+24],eax
  pop rax
  iretq
align 4
keep: dd 0xffffffff
add: dd 0
data: dq 0,0,0,0
${data}`,
      extra,
    ),
  );
  const seen: string[] = [];
  for (const o of result.out) {
    const [port, value] = o.split("=");
    if (port === "11") seen.push(`${value}:`);
    else if (port === "12") seen[seen.length - 1] += value;
    else if (port === "20") seen.push(`=${value}`);
    else seen.push(o);
  }
  if (result.end !== "HALT") seen.push(result.end);
  return seen;
};

/** Sets or clears TF by POPF. */
const tf = (on: boolean): string => `  pushfq
  ${on ? "or" : "and"} dword [rsp],${on ? "0x100" : "0xfffffeff"}
  popfq`;

/** Arms DR0. `control`: R/W in bits 17:16 and LEN in 19:18 of DR7. */
const arm = (address: string, control: number): string => `  mov rax,${address}
  mov dr0,rax
  mov eax,${0x402 | (control << 16)}
  mov dr7,rax`;

describe("single step", () => {
  test("from the instruction after POPF to the POPF that ends it", () => {
    expect(events(`${tf(true)}\nhere: nop\n nop\n${tf(false)}`)).toEqual([
      "1:4ff0",
      "2:4ff0",
      "3:4ff0",
      "a:4ff0",
      "b:4ff0",
    ]);
  });

  test("MOV SS puts it off, and it is not made up for", () => {
    expect(events(`  mov ecx,ss\n${tf(true)}\nhere: mov ss,ecx\n nop\n nop\n mov dword [keep],0xfffffeff`)).toEqual([
      "3:4ff0",
      "4:4ff0",
      "f:4ff0",
    ]);
    // One that was long ago has nothing to do with the next.
    expect(
      events(`  mov ecx,ss\n mov ss,ecx\n mov eax,1\n mov eax,2\n mov eax,3\n${tf(true)}
here: mov ss,ecx\n nop\n mov dword [keep],0xfffffeff`),
    ).toEqual(["3:4ff0", "e:4ff0"]);
  });

  test("each element of a repeated instruction, with RF in the image until the last", () => {
    expect(
      events(
        `  mov edi,data
  mov ecx,3
  mov dword [keep],0xfffffeff
${tf(true)}
here: rep stosb
  mov eax,ecx
  out 0x20,eax`,
      ),
    ).toEqual(["0:4ff0", "=0"]);
    expect(events(`  mov edi,data\n mov ecx,3\n${tf(true)}\nhere: rep stosb\n mov dword [keep],0xfffffeff`)).toEqual([
      "0:4ff0",
      "0:4ff0",
      "2:4ff0",
      "d:4ff0",
    ]);
  });

  test("not after INT n; INT1 says nothing in DR6; HLT is ended", () => {
    expect(events(`  mov dword [keep],0xfffffeff\n${tf(true)}\nhere: db 0xf1\n nop`)).toEqual(["1:ff0"]);
    expect(events(`${tf(true)}\nhere: hlt\n mov dword [keep],0xfffffeff`)).toEqual(["1:4ff0", "c:4ff0"]);
  });

  test("SYSCALL that clears TF is not followed by one, SYSRET that sets it is", () => {
    const setUp = `  mov ecx,0xc0000082
  mov eax,target
  xor edx,edx
  wrmsr
  mov ecx,0xc0000081
  xor eax,eax
  mov edx,0x00180008
  wrmsr
  mov ecx,0xc0000084
  mov eax,0x100
  xor edx,edx
  wrmsr
  mov ecx,here
  mov r11d,0x102
  mov dword [keep],0xffffffff
  db 0x48,0x0f,7 ; sysretq
here: nop
  syscall
target: mov eax,0x77
  out 0x20,eax`;
    expect(events(setUp)).toEqual(["0:4ff0", "1:4ff0", "=77"]);
  });
});

describe("breakpoints", () => {
  test("an instruction's is a fault before it, until RF lets it pass", () => {
    expect(
      events(`  mov dword [add],0x10000\n${arm("here", 0)}\n nop\nhere: inc ebx\n mov ecx,2\nagain: loop again`),
    ).toEqual(["0:ff1"]);
    // RF lasts for one instruction.
    expect(events(`  mov dword [add],0x10000\n${arm("here", 0)}\n mov ecx,2\nhere: nop\n loop here`)).toEqual([
      "0:ff1",
      "0:ff1",
    ]);
  });

  test("one on a repeated instruction is met once", () => {
    expect(
      events(
        `  mov dword [add],0x10000\n mov edi,data\n${arm("here", 0)}\n mov ecx,5\nhere: rep stosb\n mov eax,ecx\n out 0x20,eax`,
      ),
    ).toEqual(["0:ff1", "=0"]);
  });

  test("a write's is a trap after it, of the length that DR7 says", () => {
    // Four bytes at data + 4: not the ones around them, not a read.
    const body = (access: string) => events(`${arm("data+4", 0xd)}\nhere: ${access}\n nop`);
    expect(body("mov byte [data+3],1")).toEqual([]);
    expect(body("mov byte [data+8],1")).toEqual([]);
    expect(body("mov eax,[data+4]")).toEqual([]);
    expect(body("mov byte [data+7],1")).toEqual(["8:ff1"]);
    expect(body("mov dword [data+1],1")).toEqual(["b:ff1"]);
    expect(body("add [data+4],eax")).toEqual(["7:ff1"]);
  });

  test("a read's is met by reads and writes, in every element of a repeated one", () => {
    expect(
      events(
        `${arm("data+8", 3)}
  mov esi,data
  mov edi,data+16
  mov ecx,16
here: rep movsb
  mov eax,ecx
  out 0x20,eax`,
      ),
    ).toEqual(["0:ff1", "=0"]);
  });

  test("L or G must be set; a page's other data and code run on", () => {
    expect(events(`  mov rax,data\n mov dr0,rax\n mov eax,0x30400\n mov dr7,rax\nhere: mov eax,[data]`)).toEqual([]);
    expect(
      events(`${arm("data", 3)}\n mov ecx,1000\nhere: mov [data+8],ecx\n loop here\n mov eax,[data+8]\n out 0x20,eax`),
    ).toEqual(["=1"]);
  });

  test("on ports, with CR4.DE", () => {
    const body = (de: string) => events(`${de}${arm("0x40", 2)}\nhere: out 0x3f,al\n in al,0x40\n nop`);
    expect(body("")).toEqual(["3f=2"]);
    expect(body("  mov rax,cr4\n or eax,8\n mov cr4,rax\n")).toEqual(["3f=2", "4:ff1"]);
  });

  test("on the frame of an interrupt: before the handler's first instruction", () => {
    expect(
      events(
        `  mov eax,handler
  mov [0xc000+0x50*16],ax
  mov dword [keep],0xffffffff
${arm("0x5fe0", 0xd)}
  int 0x50
  jmp finish
here:
handler: mov eax,0x55
  out 0x20,eax
  iretq`,
      ),
    ).toEqual(["0:ff1", "=55"]);
  });

  test("one that MOV SS meets comes after the next instruction, and after INT n's entry", () => {
    const ss = `  mov word [data],0x10\n${arm("data", 7)}\n`;
    expect(events(`${ss}  mov ss,[data]\nhere: nop\n nop`)).toEqual(["1:ff1"]);
    expect(
      events(
        `  mov eax,handler\n mov [0xc000+0x50*16],ax\n${ss}  mov ss,[data]\n int 0x50\n jmp finish\nhere:\nhandler: iretq`,
      ),
    ).toEqual(["0:ff1"]);
  });
});

describe("DR6 and DR7", () => {
  test("GD guards the debug registers: a fault, which clears it", () => {
    expect(events(`  mov eax,0x2400\n mov dr7,rax\nhere: mov rbx,dr7\n mov eax,ebx\n out 0x20,eax`)).toEqual([
      "0:2ff0",
      "=400",
    ]);
  });

  test("a #DB replaces B0 to B3 and leaves the rest", () => {
    expect(events(`  mov eax,0x8002\n mov dr6,rax\n${arm("data", 1)}\nhere: mov byte [data],1\n nop`)).toEqual([
      "8:8ff1",
    ]);
  });
});
