/**
 * The CPUID features: names as Linux's /proc/cpuinfo has them (SSE3 is `sse3`), where CPUID reports them, and which of
 * them the virtual CPU has. The core gets them through assembly/gen/features.ts; `cpuid=` of a row of the instruction
 * table and the words of `--cpu` are these names.
 */

/** CPUID leaf, subleaf and register of each feature word (SDM vol. 2, CPUID). */
export const FEATURE_WORDS = [
  { leaf: 1, subleaf: 0, register: "ecx" },
  { leaf: 1, subleaf: 0, register: "edx" },
  { leaf: 7, subleaf: 0, register: "ebx" },
  { leaf: 7, subleaf: 0, register: "ecx" },
  { leaf: 7, subleaf: 0, register: "edx" },
  { leaf: 0x8000_0001, subleaf: 0, register: "ecx" },
  { leaf: 0x8000_0001, subleaf: 0, register: "edx" },
  { leaf: 0xd, subleaf: 1, register: "eax" },
] as const;

/**
 * always: the rest of the machine or every 64-bit guest counts on it · on: there unless switched off · off: there only
 * when asked for.
 */
export type Presence = "always" | "on" | "off";

export interface Feature {
  readonly name: string;
  /** Index in FEATURE_WORDS. */
  readonly word: number;
  readonly bit: number;
  readonly presence: Presence;
}

/** One line for each word and presence: `name=bit …`. */
const TABLE: readonly (readonly [word: number, presence: Presence, names: string])[] = [
  [0, "on", "sse3=0 ssse3=9 cx16=13 sse4_1=19 sse4_2=20 x2apic=21 popcnt=23 tsc_deadline=24"],
  [0, "on", "pcid=17 hypervisor=31"],
  // MWAIT ends at once, which the SDM allows.
  [0, "off", "monitor=3"],
  [0, "on", "pclmulqdq=1 movbe=22 aes=25 xsave=26 rdrand=30"],
  [0, "on", "fma=12 avx=28 f16c=29"],
  [1, "always", "fpu=0 de=2 pse=3 tsc=4 msr=5 pae=6 mce=7 cx8=8 apic=9 mtrr=12 pge=13 mca=14 pat=16 pse36=17"],
  [1, "on", "vme=1 sep=11 cmov=15 clflush=19 mmx=23 fxsr=24 sse=25 sse2=26"],
  [2, "on", "fsgsbase=0 tsc_adjust=1 smep=7 erms=9 smap=20"],
  [2, "on", "bmi1=3 avx2=5 bmi2=8 invpcid=10 rdseed=18 adx=19 clflushopt=23 clwb=24"],
  [3, "on", "umip=2 rdpid=22"],
  [3, "on", "pku=3"],
  // Five levels of tables cost a walk one more.
  [3, "off", "la57=16"],
  [4, "on", "spec_ctrl=26 arch_capabilities=29"],
  [5, "on", "lahf_lm=0 lzcnt=5 3dnowprefetch=8"],
  [6, "always", "syscall=11 nx=20 lm=29"],
  [6, "on", "pdpe1gb=26 rdtscp=27"],
  [7, "on", "xsaveopt=0 xsavec=1 xgetbv1=2 xsaves=3"],
];

export const FEATURES: ReadonlyMap<string, Feature> = new Map(
  TABLE.flatMap(([word, presence, names]) =>
    names.split(" ").map((text) => {
      const [name, bit] = text.split("=");
      return [name, { name, word, bit: Number(bit), presence }] as const;
    }),
  ),
);

/** The bits of every word whose features satisfy `which`. */
export function featureWords(which: (f: Feature) => boolean): number[] {
  const words = FEATURE_WORDS.map(() => 0);
  for (const f of FEATURES.values()) if (which(f)) words[f.word] = (words[f.word] | (1 << f.bit)) >>> 0;
  return words;
}

/** What the core has, and what of that a guest sees by default. */
export const IMPLEMENTED = featureWords(() => true);
export const DEFAULT = featureWords((f) => f.presence === "on" || f.presence === "always");

/** The feature of that name; throws if the table above has none. */
export function featureNamed(name: string): Feature {
  const feature = FEATURES.get(name);
  if (!feature) throw new Error(`no CPUID feature is called ${name} (src/isa/features.ts)`);
  return feature;
}

/** Number of a feature in the core: word << 5 | bit. */
export const featureNumber = (f: Feature): number => (f.word << 5) | f.bit;

/** Text of assembly/gen/features.ts. */
export function featuresText(): string {
  const words = (values: readonly number[]) => values.map((v) => `0x${v.toString(16)}`).join(", ");
  return `
${[...FEATURES.values()].map((f) => `export const CPU_${f.name.toUpperCase()}: u32 = ${featureNumber(f)};`).join("\n")}

/** By feature word: what the core has, and what of that a guest sees by default. */
export const FEATURES_IMPLEMENTED: StaticArray<u32> = [${words(IMPLEMENTED)}];
export const FEATURES_DEFAULT: StaticArray<u32> = [${words(DEFAULT)}];
`;
}
