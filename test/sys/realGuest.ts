/** The frame of test guests in real mode. */

export interface RealGuest {
  /** Entries of the interrupt table: the label of each vector's handler. */
  readonly ivt?: Readonly<Record<number, string>>;
  /** 16-bit code that begins with interrupts off, DF clear, segments of 0 and SP = 1000h, and ends with HLT; then data. */
  readonly body: string;
}

export const realGuest = ({ ivt = {}, body }: RealGuest): string => `
bits 16
org 0x1000
  cli
  cld
  xor ax,ax
  mov ds,ax
  mov es,ax
  mov ss,ax
  mov sp,0x1000
${Object.entries(ivt)
  .map(([vector, label]) => `  mov word [${vector}*4],${label}\n  mov word [${vector}*4+2],0\n`)
  .join("")}
${body}
`;
