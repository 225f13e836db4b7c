/** The frame of 32-bit test guests: from real mode to ring 0 of protected mode without paging, with GDT, IDT and TR. */

/** An interrupt or trap gate to `label` in the ring-0 code segment; `type` is the descriptor's byte 5. */
export const idtGate = (vector: number, label: string, type = 0x8e): string =>
  idtEntry(vector, `0x80000+${label}`, type);
/** A task gate (DPL 0). */
export const taskGate = (vector: number, tss: number): string => idtEntry(vector, `${tss << 16}`, 0x85);

const idtEntry = (vector: number, low: string, type: number): string => `
  mov dword [0x8000+${vector}*8],${low}
  mov dword [0x8000+${vector}*8+4],${type << 8}`;

export interface ProtectedGuest {
  /** 16-bit code before the switch, with DS = 0. */
  readonly real?: string;
  /** The GDT from selector 18h on. Those before are code and data, flat, DPL 0. */
  readonly gdt?: string;
  /** Selector for LTR. */
  readonly tr?: number;
  /** The IDT's entries, which are at 8000h: `idtGate` and `taskGate`. */
  readonly idt: readonly string[];
  /** Everything else: 32-bit code that begins in ring 0, with SS:ESP = 10h:6000h and interrupts off; then data. */
  readonly body: string;
}

export const protectedGuest = ({ real = "", gdt = "", tr, idt, body }: ProtectedGuest): string => `
bits 16
org 0x1000
  cli
  xor ax,ax
  mov ds,ax
  lgdt [gdtr]
  lidt [idtr]
${real}
  mov eax,cr0
  or eax,1
  mov cr0,eax
  jmp 8:start
gdtr: dw gdtEnd-gdt-1
  dd gdt
idtr: dw 0x41*8+7
  dd 0x8000
align 8
gdt: dq 0,0x00cf9b000000ffff,0x00cf93000000ffff
${gdt}
gdtEnd:
bits 32
start:
  mov eax,0x10
  mov ds,eax
  mov es,eax
  mov ss,eax
  mov esp,0x6000
${tr === undefined ? "" : `  mov eax,${tr}\n  ltr ax`}
${idt.join("")}
${body}
`;
