/**
 * Which CPUID feature a vector needs (SDM vol. 2, CPUID), by its tier or, in tiers that mix, by its mnemonic; and
 * which of them a core advertises, asked with CPUID instructions of its own.
 */
import { FEATURE_WORDS, FEATURES } from "../isa/features.ts";
import { splitId, type Vector } from "./vectorFormat.ts";
import type { VectorMachine } from "./vectorMachine.ts";

type Register = (typeof FEATURE_WORDS)[number]["register"];

const words = (text: string, feature: string): [string, string][] => text.split(" ").map((name) => [name, feature]);
/** Features beyond those of the first x86-64 CPUs, by mnemonic (SDM vol. 1, 5.7 to 5.17). */
const MNEMONICS: ReadonlyMap<string, string> = new Map([
  ...words("fisttp addsubps addsubpd haddps haddpd hsubps hsubpd lddqu movddup movshdup movsldup", "sse3"),
  ...words(
    "phaddw phaddsw phaddd phsubw phsubsw phsubd pabsb pabsw pabsd pmaddubsw pmulhrsw pshufb psignb psignw psignd palignr",
    "ssse3",
  ),
  ...words(
    "pmulld pmuldq dppd dpps movntdqa blendpd blendps blendvpd blendvps pblendvb pblendw pminuw pminud pminsb pminsd " +
      "pmaxuw pmaxud pmaxsb pmaxsd roundps roundpd roundss roundsd extractps insertps pinsrb pinsrd pinsrq pextrb " +
      "pextrd pextrq pmovsxbw pmovzxbw pmovsxbd pmovzxbd pmovsxwd pmovzxwd pmovsxbq pmovzxbq pmovsxwq pmovzxwq " +
      "pmovsxdq pmovzxdq mpsadbw phminposuw ptest pcmpeqq packusdw",
    "sse4_1",
  ),
  ...words("pcmpestri pcmpestrm pcmpistri pcmpistrm pcmpgtq crc32", "sse4_2"),
  ...words("aesenc aesenclast aesdec aesdeclast aesimc aeskeygenassist", "aes"),
  ...words("pclmulqdq", "pclmulqdq"),
  ...words("popcnt", "popcnt"),
  ...words("movbe", "movbe"),
  ...words("lzcnt", "lzcnt"),
  ...words("tzcnt andn bextr blsi blsr blsmsk", "bmi1"),
  ...words("bzhi mulx pdep pext rorx sarx shlx shrx", "bmi2"),
  ...words("adcx adox", "adx"),
  ...words("cmpxchg16b", "cx16"),
  ...words("rdrand", "rdrand"),
  ...words("rdseed", "rdseed"),
  ...words("xgetbv xsetbv", "xsave"),
]);

const TIERS: Readonly<Record<string, string>> = {
  mmx: "mmx",
  sse: "sse",
  sseapprox: "sse",
  sse2: "sse2",
  sse3: "sse3",
  ssse3: "ssse3",
  sse41: "sse4_1",
  sse42: "sse4_2",
  f16c: "f16c",
  fma: "fma",
  avx: "avx",
  avx2: "avx2",
  x87: "fpu",
  x87t: "fpu",
};

const PREFIX =
  /^(?:(?:lock|rep[a-z]*|data(?:16|32)|addr(?:16|32)|rex[.A-Z]*|[c-gs]s|bnd|notrack|xacquire|xrelease) +)+/;

/** The instruction's name, from the disassembler's text or else from the form. */
export function mnemonicOf(vector: Vector): string {
  const text = vector.asm?.replace(PREFIX, "").split(" ")[0];
  return text || splitId(vector.id).form.split(" ")[0];
}

/** ADCX and ADOX, the only instructions in the tiers of sequences that are not in every x86-64 CPU. */
const SEQUENCE_ADX = /(?:66|f3)(?:66|f3)?(?:4[0-9a-f])?0f38f6/;

/** Name of the feature a vector needs, "" for what every x86-64 CPU has. */
export function featureOf(vector: Vector): string {
  const { tier, form } = splitId(vector.id);
  if (tier === "sseapprox" && form.startsWith("v")) return "avx";
  if (tier.startsWith("seq")) return SEQUENCE_ADX.test(vector.code) ? "adx" : "";
  // The form says what was meant where a prefix has made the encoding invalid.
  return MNEMONICS.get(form.split(" ")[0]) ?? TIERS[tier] ?? MNEMONICS.get(mnemonicOf(vector)) ?? "";
}

/** Features that the core's CPUID advertises; none if it has no CPUID. */
export function advertised(machine: VectorMachine): ReadonlySet<string> {
  const leaves = new Map<string, Record<"eax" | Register, number> | undefined>();
  const found = new Set<string>();
  for (const { name, word, bit } of FEATURES.values()) {
    const { leaf, subleaf, register } = FEATURE_WORDS[word];
    const key = `${leaf}.${subleaf}`;
    if (!leaves.has(key)) leaves.set(key, cpuid(machine, leaf, subleaf));
    if (((leaves.get(key)?.[register] ?? 0) >>> bit) & 1) found.add(name);
  }
  return found;
}

function cpuid(machine: VectorMachine, leaf: number, subleaf: number): Record<"eax" | Register, number> | undefined {
  const probe: Vector = {
    id: "cpuid:cpuid/64/0",
    mode: 64,
    code: "0fa2",
    rip: "101000",
    before: { gpr: [leaf.toString(16), subleaf.toString(16)], rflags: "202", mem: [] },
    after: { rip: "101002", rflags: "202" },
  };
  machine.load(probe);
  const outcome = machine.run(probe);
  if (outcome.exception || outcome.broken) return undefined;
  const gpr = (i: number): number => Number(machine.gpr(i) & 0xffff_ffffn);
  return { eax: gpr(0), ecx: gpr(1), edx: gpr(2), ebx: gpr(3) };
}
