/**
 * Litmus programs: a few instructions on each of two to four vCPUs, round after round from the same start, and what the SDM
 * (vol. 3, 9.2.2 and 9.2.3) says can be seen of the order of their loads and stores. The guest meets before each round and
 * counts the outcomes itself.
 */
import { DATA, smpGuest } from "../vcpu/smpGuest.ts";

export interface Litmus {
  readonly name: string;
  /** One program for each vCPU; what it has seen is in EAX, EDX (0 to 3). ESI is the round's place, EDI and EBX are free. */
  readonly threads: readonly string[];
  /** Results of each program. */
  readonly results: readonly number[];
  /** X and Y at the end of the round are results, too. */
  readonly final?: boolean;
  /** What must not be seen. */
  readonly forbidden: (r: readonly number[]) => boolean;
}

/** Rounds of a batch, each with places of its own. */
const BATCH = 128;
const STRIDE = 64;
const X = 0x20_0000;
const Y = 0x21_0000;
/** Across the end of a line, and of a page. */
const LINE = 0x22_0000 + 62;
const PAGE = 0x60_0ffe;
const RESULTS = 0x24_0000;
const ARRAY = 0x1_0000;
const HISTOGRAM = DATA;
const PROGRESS = DATA + 0x800;
const OUTCOMES = 256;

const x = `dword [${X}+esi]`;
const y = `dword [${Y}+esi]`;
const line = `dword [${LINE}+esi]`;
/** EDI must be the place of the round's page. */
const page = `dword [${PAGE}+edi]`;
const toPage = "mov edi,esi\n shl edi,6";

/** EAX: 0 for 0, 1 for ffffffffh, 2 for what is neither. */
const whole = (id: number): string => `
  cmp eax,-1
  je ones${id}
  test eax,eax
  jz seen${id}
  mov eax,2
  jmp seen${id}
ones${id}:
  mov eax,1
seen${id}:`;

const seesBoth = ([r0, r1]: readonly number[]): boolean => r0 === 0 && r1 === 0;
/** Store buffering with something between the store and the load. */
const buffering = (name: string, store: string, fence: string, before = ""): Litmus => ({
  name,
  threads: [
    `${before}\n${store.replace("V", x)}\n${fence}\n mov eax,${y}`,
    `${before}\n${store.replace("V", y)}\n${fence}\n mov eax,${x}`,
  ],
  results: [1, 1],
  forbidden: seesBoth,
});
/** Whole values at a place that no single access of the host covers. */
const torn = (name: string, place: string, before: string, write: string): Litmus => ({
  name,
  threads: [
    `${before}\n mov eax,-1\n ${write} ${place},eax\n xor eax,eax`,
    `${before}\n xor eax,eax\n lock xadd ${place},eax\n${whole(1)}`,
  ],
  results: [0, 1],
  forbidden: ([r0]) => r0 === 2,
});

export const PROGRAMS: readonly Litmus[] = [
  {
    // A load may be before an older store to another place: this one must not find anything.
    name: "SB",
    threads: [`mov ${x},1\n mov eax,${y}`, `mov ${y},1\n mov eax,${x}`],
    results: [1, 1],
    forbidden: () => false,
  },
  buffering("SB+MFENCE", "mov V,1", "mfence"),
  buffering("SB+LOCK", "mov V,1", "lock add dword [esp],0"),
  buffering("SB+XCHG", "mov eax,1\n xchg V,eax", ""),
  buffering("SB+LOCK across lines", "mov V,1", `lock add ${line},0`),
  buffering("SB+LOCK across pages", "mov V,1", `lock add ${page},0`, toPage),
  buffering("SB+CPUID", "mov V,1", "push ebx\n push ecx\n xor eax,eax\n cpuid\n pop ecx\n pop ebx"),
  buffering("SB+INVLPG", "mov V,1", "invlpg [esp]"),
  buffering("SB+MOV to CR2", "mov V,1", "xor eax,eax\n mov cr2,eax"),
  // Back to where IRETD is followed by the load: five bytes behind where CALL has returned to.
  buffering("SB+IRETD", "mov V,1", "pushfd\n push cs\n call $+5\n add dword [esp],5\n iretd"),
  {
    name: "MP",
    threads: [`mov ${x},1\n mov ${y},1`, `mov eax,${y}\n mov edx,${x}`],
    results: [0, 2],
    forbidden: ([r0, r1]) => r0 === 1 && r1 === 0,
  },
  {
    name: "LB",
    threads: [`mov eax,${x}\n mov ${y},1`, `mov eax,${y}\n mov ${x},1`],
    results: [1, 1],
    forbidden: ([r0, r1]) => r0 === 1 && r1 === 1,
  },
  {
    name: "2+2W",
    threads: [`mov ${x},1\n mov ${y},2`, `mov ${y},1\n mov ${x},2`],
    results: [0, 0],
    final: true,
    forbidden: ([fx, fy]) => fx === 1 && fy === 1,
  },
  {
    name: "CoRR",
    threads: [`mov ${x},1\n mov ${x},2`, `mov eax,${x}\n mov edx,${x}`],
    results: [0, 2],
    forbidden: ([r0, r1]) => r0 > r1,
  },
  {
    name: "WRC",
    threads: [`mov ${x},1`, `mov eax,${x}\n mov ${y},1`, `mov eax,${y}\n mov edx,${x}`],
    results: [0, 1, 2],
    forbidden: ([r0, r1, r2]) => r0 === 1 && r1 === 1 && r2 === 0,
  },
  {
    name: "IRIW",
    threads: [`mov ${x},1`, `mov ${y},1`, `mov eax,${x}\n mov edx,${y}`, `mov eax,${y}\n mov edx,${x}`],
    results: [0, 0, 2, 2],
    forbidden: (r) => r.join() === "1,0,1,0",
  },
  {
    // Locked instructions have one order for all (9.2.3.6).
    name: "IRIW+LOCK",
    threads: [
      `mov eax,1\n xchg ${x},eax`,
      `mov eax,1\n xchg ${y},eax`,
      `mov eax,${x}\n mov edx,${y}`,
      `mov eax,${y}\n mov edx,${x}`,
    ],
    results: [0, 0, 2, 2],
    forbidden: (r) => r.join() === "1,0,1,0",
  },
  torn("XCHG across lines", line, "", "xchg"),
  torn("XCHG across pages", page, toPage, "xchg"),
  torn("LOCK OR across pages", page, toPage, "lock or"),
];

/** A program whose forbidden outcome is easily seen: what is written first comes last, some time later. */
export const WRONG: Litmus = {
  ...(PROGRAMS.find((p) => p.name === "MP") as Litmus),
  name: "MP, the wrong way round",
  threads: [`mov ${y},1\n mov edi,40\nlate:\n dec edi\n jnz late\n mov ${x},1`, `mov eax,${y}\n mov edx,${x}`],
};

const places = (p: Litmus): number => p.results.reduce((sum, n) => sum + n, 0);

/** The guest: `batches` times BATCH rounds. */
export function litmusGuest(p: Litmus, batches: number): string {
  const cpus = p.threads.length;
  let place = 0;
  const bodies = p.threads.map((code, id) => {
    const stores = ["eax", "edx"].slice(0, p.results[id]).map((reg) => `mov [${RESULTS + place++ * ARRAY}+esi],${reg}`);
    const others = p.threads.flatMap((_, other) =>
      other === id
        ? []
        : [`meet${id}_${other}:\n pause\n cmp [${PROGRESS + other * STRIDE}],ebx\n jb meet${id}_${other}`],
    );
    return `
    thread${id}:
      inc ebx
      mov [${PROGRESS + id * STRIDE}],ebx
      ${others.join("\n")}
      push ebx
      ${code}
      pop ebx
      ${stores.join("\n")}
      add esi,${STRIDE}
      cmp esi,${BATCH * STRIDE}
      jb thread${id}
      jmp counted`;
  });
  const outcome = [...Array.from({ length: places(p) }, (_, i) => RESULTS + i * ARRAY), ...(p.final ? [X, Y] : [])].map(
    (at) => `shl eax,2\n mov edx,[${at}+esi]\n and edx,3\n or eax,edx`,
  );
  return smpGuest(
    cpus,
    `
      mov ecx,${batches}
      xor ebx,ebx
    batch:
      call barrier
      xor esi,esi
      ${p.threads.map((_, id) => `cmp ebp,${id}\n je thread${id}`).join("\n")}
      ${bodies.join("\n")}
    counted:
      call barrier
      test ebp,ebp
      jnz next
      xor esi,esi
    count:
      xor eax,eax
      ${outcome.join("\n")}
      inc dword [${HISTOGRAM}+eax*4]
      xor eax,eax
      mov [${X}+esi],eax
      mov [${Y}+esi],eax
      mov [${LINE}+esi],eax
      mov edi,esi
      shl edi,6
      mov [${PAGE}+edi],eax
      add esi,${STRIDE}
      cmp esi,${BATCH * STRIDE}
      jb count
    next:
      dec ecx
      jnz batch`,
  );
}

export interface Seen {
  readonly rounds: number;
  /** Outcomes in words, with how often each was seen. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly forbidden: number;
}

/** What a guest that has come to its end has counted. @param read32 a word of its memory */
export function seen(p: Litmus, read32: (gpa: number) => number): Seen {
  const n = places(p) + (p.final ? 2 : 0);
  const outcomes = new Map<string, number>();
  let [rounds, forbidden] = [0, 0];
  for (let i = 0; i < OUTCOMES; i++) {
    const times = read32(HISTOGRAM + i * 4);
    if (!times) continue;
    const r = Array.from({ length: n }, (_, k) => (i >> (2 * (n - 1 - k))) & 3);
    outcomes.set(r.join(" "), times);
    rounds += times;
    if (p.forbidden(r)) forbidden += times;
  }
  return { rounds, outcomes, forbidden };
}

export const ROUNDS_OF_BATCH = BATCH;
