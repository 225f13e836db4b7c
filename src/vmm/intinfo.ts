/**
 * Events on their way into the guest (the seeds' VM_INTINFO_*):
 *
 *     63         32 31    30      12 11  10  8 7      0
 *     +------------+-----+----------+---+-----+--------+
 *     | error code |valid| reserved |EV |type | vector |      EV = error code valid
 *     +------------+-----+----------+---+-----+--------+
 */
export const VM_INTINFO = {
  DEL_ERRCODE: 0x800n,
  RSVD: 0x7fff_f000n,
  VALID: 0x8000_0000n,
  TYPE: 0x700n,
  HWINTR: 0x000n,
  NMI: 0x200n,
  HWEXCEPTION: 0x300n,
  SWINTR: 0x400n,
} as const;

export const intinfoVector = (info: bigint): number => Number(info & 0xffn);

/** Exception vectors (SDM vol. 3, table 7-1). */
export const IDT = {
  DE: 0,
  NMI: 2,
  BP: 3,
  OF: 4,
  UD: 6,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  AC: 17,
} as const;

/** An exception as an event. */
export const exceptionInfo = (vector: number, errcode?: number): bigint =>
  BigInt(vector) |
  VM_INTINFO.VALID |
  VM_INTINFO.HWEXCEPTION |
  (errcode === undefined ? 0n : VM_INTINFO.DEL_ERRCODE | (BigInt(errcode >>> 0) << 32n));

/** Whether an exception has an error code (SDM vol. 3, table 7-1). */
export const hasErrorCode = (vector: number): boolean =>
  vector === IDT.DF || (vector >= IDT.TS && vector <= IDT.PF) || vector === IDT.AC || vector === 21;

type ExceptionClass = "benign" | "contributory" | "pagefault";

/** Classes of SDM vol. 3, table 7-4. Events that are not exceptions are benign. */
function exceptionClass(info: bigint): ExceptionClass {
  const vector = intinfoVector(info);
  if ((info & VM_INTINFO.TYPE) !== VM_INTINFO.HWEXCEPTION) return "benign";
  if (vector === IDT.PF) return "pagefault";
  return vector === IDT.DE || (vector >= IDT.TS && vector <= IDT.GP) ? "contributory" : "benign";
}

/** What becomes of an event whose delivery was interrupted (`first`) and of an exception that is pending (`second`). */
export type NestedOutcome = { readonly inject: bigint } | { readonly tripleFault: true };

/**
 * Combines nested events (SDM vol. 3, table 7-5; the seeds' nested_fault).
 *
 * | first | second | outcome |
 * |---|---|---|
 * | #DF | contributory, #PF | triple fault |
 * | contributory | contributory | #DF(0) |
 * | #PF | contributory, #PF | #DF(0) |
 * | any other | any | the second; the first comes again when its instruction does |
 */
export function nestedFault(first: bigint, second: bigint): NestedOutcome {
  const [one, two] = [exceptionClass(first), exceptionClass(second)];
  const double =
    (first & VM_INTINFO.TYPE) === VM_INTINFO.HWEXCEPTION && intinfoVector(first) === IDT.DF && two !== "benign";
  if (double) return { tripleFault: true };
  if ((one === "contributory" && two === "contributory") || (one === "pagefault" && two !== "benign")) {
    return { inject: exceptionInfo(IDT.DF, 0) };
  }
  return { inject: second };
}
