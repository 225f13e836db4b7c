/** Bits of control and flag registers by their names (SDM vol. 3, 2.3, 2.5; vol. 1, 3.4.3). */

type Names = Readonly<Record<string, number>>;

export const RFLAGS_BITS: Names = {
  ...{ CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, TF: 8, IF: 9, DF: 10, OF: 11, NT: 14, RF: 16, VM: 17, AC: 18, VIF: 19 },
  ...{ VIP: 20, ID: 21 },
};
export const CR0_BITS: Names = {
  ...{ PE: 0, MP: 1, EM: 2, TS: 3, ET: 4, NE: 5, WP: 16, AM: 18, NW: 29, CD: 30, PG: 31 },
};
export const CR4_BITS: Names = {
  ...{ VME: 0, PVI: 1, TSD: 2, DE: 3, PSE: 4, PAE: 5, MCE: 6, PGE: 7, PCE: 8, OSFXSR: 9, OSXMMEXCPT: 10, UMIP: 11 },
  ...{ LA57: 12, VMXE: 13, FSGSBASE: 16, PCIDE: 17, OSXSAVE: 18, SMEP: 20, SMAP: 21, PKE: 22 },
};
export const EFER_BITS: Names = { SCE: 0, LME: 8, LMA: 10, NXE: 11 };

/** The names of the bits that are set, lowest first; IOPL, which has two, at the end. */
export function bitsText(value: bigint, names: Names): string {
  const set = Object.entries(names).filter(([, bit]) => (value >> BigInt(bit)) & 1n);
  const iopl = names === RFLAGS_BITS && (value >> 12n) & 3n;
  return [...set.map(([name]) => name), ...(iopl ? [`IOPL=${iopl}`] : [])].join(" ");
}
