/**
 * Which handlers a compiled region may call, and what it must know of each: the general registers and flags that their
 * rows declare (`r= w= fr= fw=`), beyond the operands. test/jit/declared.test.ts holds the rows to it.
 *
 * Every x87, MMX, SSE and AVX instruction may be called, and of the others those that are listed: they keep mode, segment
 * bases and translations as they are, and come back.
 */
import { specialise } from "./specialise.ts";
import type { Row } from "./table/grammar.ts";

const LISTED = new Set(
  `andn bextr blsi blsmsk blsr bzhi mulx pdep pext rorx sarx shlx shrx tzcnt lzcnt movbe movbeStore adcx adox crc32 crc32b
  popcntV rdrand clflush fence mfence pushS movRS movMS popE pusha popa enterFrame leave pushf sahf lahf cld std cli daa
  das aaa aas aam aad salc btMem btsMem btrMem btcMem cmpxchg8b movs cmps stos lods scas xlat cpuid rdtsc rdtscp rdpid
  rdfsbase rdgsbase movFromCr smsw xgetbv stac clac`.split(/\s+/),
);
const CLASSES = ["fpu", "mmx", "sse", "avx"];
/** Change what may be accessed: translations a region has found do not hold any more. */
const CONTEXT = new Set(["stac", "clac"]);

const REGISTERS = "ax cx dx bx sp bp si di".split(" ");
const mask = (names: string | undefined): number =>
  (names?.split(",") ?? []).reduce((bits, name) => {
    const i = REGISTERS.indexOf(name);
    if (i < 0) throw new Error(`instruction table: no register ${name}`);
    return bits | (1 << i);
  }, 0);

/** What a call needs: general registers read and written beyond the operands, flags, and whether it is a repetition. */
export interface JitCall {
  handler: string;
  reads: number;
  writes: number;
  flags: boolean;
  /** The immediate names a general register (the operand in VEX.vvvv). */
  aside: boolean;
  context: boolean;
  repeats: boolean;
}

/** By the number of the micro-op. */
export function jitCalls(rows: readonly Row[]): Map<number, JitCall> {
  const { slots } = specialise(rows);
  const found = new Map<number, JitCall>();
  const refused = new Set<number>();
  for (const row of rows) {
    if (!row.meaning.startsWith("@")) continue;
    const id = slots.get(row.id)?.[0] ?? 0;
    const name = row.meaning.slice(1);
    const known = LISTED.has(name) || CLASSES.some((attr) => row.attrs.has(attr));
    if (!known || ["br", "end", "ev"].some((attr) => row.attrs.has(attr))) refused.add(id);
    const call = found.get(id) ?? {
      handler: name,
      reads: 0,
      writes: 0,
      flags: false,
      aside: false,
      context: false,
      repeats: false,
    };
    found.set(id, {
      handler: name,
      reads: call.reads | mask(row.values.get("r")),
      writes: call.writes | mask(row.values.get("w")),
      // A handler that writes one flag reads the others.
      flags: call.flags || ["fr", "fw"].some((key) => /[oszapc]/.test(row.values.get(key) ?? "")),
      aside: call.aside || row.operands.some((o, i) => i > 0 && /^B[a-z]$/.test(o)),
      context: CONTEXT.has(name),
      repeats: call.repeats || row.attrs.has("rep"),
    });
  }
  for (const id of refused) found.delete(id);
  return found;
}
