/** x87 errors with CR0.NE clear: FERR#, the wait for an interrupt, IGNNE# (SDM vol. 1, 8.7.2). */
import { beforeAll, expect, test } from "vitest";
import { ATTENTION, CONTROL, VCPU } from "../../src/shared/layout.ts";
import { RING } from "../../src/shared/ring.ts";
import { drainRing } from "../../src/vcpu/ring.ts";
import { guestMemory, loadCore, runGuest } from "./guest.ts";
import { realGuest } from "./realGuest.ts";

beforeAll(loadCore, 180_000);

/** In real mode: zero-divide unmasked; NMIs come to `nmi`. */
const guest = (body: string, nmi: string): string =>
  realGuest({
    ivt: { 2: "nmi", 16: "mf" },
    body: `  mov eax,cr0
  and al,~0x2e
  mov cr0,eax
  fninit
  mov word [control],0x37b
  fldcw [control]
${body}
finish:
  cli
  hlt
mf:
  mov al,16
  out 0x16,al
  jmp finish
nmi:
${nmi}
  iret
control: dw 0`,
  });

/** How often FERR# came, then what the guest wrote; each wait ends with an NMI. */
function run(body: string, nmi: string): string[] {
  const memory = guestMemory();
  let errors = 0;
  const count = (): void => {
    drainRing(memory.control, (kind) => {
      if (kind === RING.FERR) errors++;
    });
  };
  const r = runGuest(guest(body, nmi), {
    memory,
    halted: (view) => {
      count();
      // The waiting instruction has not run; a HLT for good is the guest's end.
      if (view.get64(VCPU.rip) === view.get64(VCPU.gpr, 3)) {
        view.set(VCPU.nmiPosted, 1);
        view.or(VCPU.attention, ATTENTION.NMI);
        return true;
      }
      return false;
    },
    input: () => {
      // Port F0h as the chip has it.
      memory.control.set(CONTROL.ignne, 1);
      return 0;
    },
  });
  count();
  return [`${errors}`, ...r.out, ...(r.end === "HALT" ? [] : [r.end])];
}

const ERROR = "  fld1\n  fldz\n  fdivp st1,st0\n";
/** BX is where the next instruction waits. */
const WAITS = "  mov bx,$+3\n";

test("a waiting instruction stops until an interrupt, whose handler clears the error", () => {
  const nmi = "  fnclex\n  mov al,1\n  out 0x10,al\n";
  // FERR# with the error, and once more when the instruction stops.
  expect(run(`${ERROR}${WAITS}  fld1\n  fnstsw ax\n  out 0x10,ax\n`, nmi)).toEqual(["2", "10=1", "10=2800"]);
  expect(run(`${ERROR}${WAITS}  wait\n  mov al,2\n  out 0x10,al\n`, nmi)).toEqual(["2", "10=1", "10=2"]);
  // In the shadow of STI, too.
  expect(run(`${ERROR}  mov bx,$+4\n  sti\n  wait\n  mov al,2\n  out 0x10,al\n`, nmi)).toEqual(["2", "10=1", "10=2"]);
});

test("it stops again if the handler has changed nothing", () => {
  const nmi = "  inc cx\n  cmp cx,3\n  jb again\n  fnclex\nagain:\n";
  expect(run(`  xor cx,cx\n${ERROR}${WAITS}  wait\n  mov ax,cx\n  out 0x10,ax\n`, nmi)).toEqual(["4", "10=3"]);
});

test("with IGNNE# it goes on; the next error takes IGNNE# away", () => {
  const nmi = "  in al,0x20\n";
  expect(run(`${ERROR}${WAITS}  fld1\n  fnstsw ax\n  out 0x10,ax\n`, nmi)).toEqual(["2", "10=a884"]);
  const again = `  fnclex\n${ERROR}${WAITS}  wait\n  mov al,2\n  out 0x10,al\n`;
  expect(run(`${ERROR}${WAITS}  wait\n${again}`, nmi)).toEqual(["4", "10=2"]);
});

test("instructions that do not wait go on; MMX waits", () => {
  const nmi = "  fnclex\n  mov al,1\n  out 0x10,al\n";
  expect(run(`${ERROR}  fnstcw [control]\n  fnstsw ax\n  out 0x10,ax\n`, nmi)).toEqual(["1", "10=b084"]);
  expect(run(`${ERROR}${WAITS}  movd mm0,eax\n  mov al,2\n  out 0x10,al\n`, nmi)).toEqual(["2", "10=1", "10=2"]);
});

test("FLDCW that unmasks what is set is an error, too; CR0.NE makes it #MF", () => {
  const unmask = `  mov word [control],0x37f\n  fldcw [control]\n${ERROR}  mov word [control],0x37b\n  fldcw [control]\n`;
  const nmi = "  fnclex\n  mov al,1\n  out 0x10,al\n";
  expect(run(`${unmask}${WAITS}  wait\n`, nmi)).toEqual(["2", "10=1"]);
  expect(run(`${unmask}  mov eax,cr0\n  or al,0x20\n  mov cr0,eax\n  wait\n`, nmi)).toEqual(["1", "16=10"]);
});
