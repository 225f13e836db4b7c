/**
 * A guest for several vCPUs: flat 32-bit protected mode. The boot processor sends INIT and a start-up IPI to all others;
 * each vCPU gets a number (EBP), a stack, the GDT and the IDT, enables its local APIC, and then every vCPU runs `body`.
 *
 * `body` has EBP = 0, 1 … and may call `barrier` (all vCPUs meet), which changes EAX only. Afterwards vCPU 0 sets DONE.
 * Vectors 30h to 4Fh are `handler(vector)`, NMI is `nmi`; the stack has what the processor pushed. After a page fault the
 * instruction is tried again.
 */
import { multibootOpening, multibootTables, SHARED } from "./threads.ts";

/** Where the guest keeps what the host reads; no code is in these pages. */
export const DONE = SHARED;
export const ONLINE = SHARED + 0x40;
const ARRIVED = SHARED + 0x80;
const PHASE = SHARED + 0xc0;
/** For the body. */
export const DATA = SHARED + 0x1000;

const TRAMPOLINE = 0x8000;
const EOI = 0xfee0_00b0;

export const eoi = `mov dword [${EOI}],0`;

export const smpGuest = (
  cpus: number,
  body: string,
  handler: (vector: number) => string = () => `${eoi}\n iretd`,
  nmi = "iretd",
): string => `
${multibootOpening}
  mov ebx,handlers
  mov edi,0x120000+0x30*8
  mov ecx,0x20
gates:
  call gate
  add ebx,64
  add edi,8
  dec ecx
  jnz gates
  mov ebx,onNmi
  mov edi,0x120000+2*8
  call gate
  mov ebx,onPageFault
  mov edi,0x120000+14*8
  call gate
  mov esi,trampoline
  mov edi,${TRAMPOLINE}
  mov ecx,trampolineEnd-trampoline
  rep movsb
  lidt [idtr]
  mov dword [0xfee000f0],0x1ff
  mov ebp,0
  mov dword [${ONLINE}],1
  ; INIT, then a start-up IPI, to all but self
  mov dword [0xfee00300],0xc4500
  mov dword [0xfee00300],${0xc4600 | (TRAMPOLINE >> 12)}
online:
  pause
  cmp dword [${ONLINE}],${cpus}
  jne online
  jmp everybody

gate:
  mov [edi],bx
  mov word [edi+2],8
  mov word [edi+4],0x8e00
  mov eax,ebx
  shr eax,16
  mov [edi+6],ax
  ret

; Real mode, CS = ${TRAMPOLINE.toString(16)}h / 16
bits 16
trampoline:
  cli
  xor ax,ax
  mov ds,ax
  o32 lgdt [${TRAMPOLINE}+gdtrLow-trampoline]
  mov eax,0x11
  mov cr0,eax
  jmp dword 8:application
; Real mode reaches the first 64 KiB.
gdtrLow: dw 23
  dd gdt
trampolineEnd:
bits 32
application:
  mov eax,16
  mov ds,eax
  mov es,eax
  mov ss,eax
  mov ebp,1
  lock xadd [${ONLINE}+4],ebp
  inc ebp
  mov eax,ebp
  shl eax,12
  lea esp,[eax+0x70000]
  lidt [idtr]
  mov dword [0xfee000f0],0x1ff
  lock inc dword [${ONLINE}]

everybody:
  call barrier
${body}
  call barrier
  test ebp,ebp
  jnz park
  mov dword [${DONE}],1
park:
  cli
  hlt
  jmp park

; A barrier that can be used again: the last one to arrive begins a new phase.
barrier:
  push ebx
  mov ebx,[${PHASE}]
  mov eax,1
  lock xadd [${ARRIVED}],eax
  inc eax
  cmp eax,${cpus}
  jne meeting
  mov dword [${ARRIVED}],0
  lock inc dword [${PHASE}]
  pop ebx
  ret
meeting:
  pause
  cmp [${PHASE}],ebx
  je meeting
  pop ebx
  ret

onNmi:
${nmi}
; The page may be there the next time.
onPageFault:
  add esp,4
  iretd
${multibootTables(handler)}
`;
