/**
 * CPU models, as `--cpu MODEL[,+FEATURE,-FEATURE]…` names them. All are one CPU (assembly/sys/model.ts) with more or
 * fewer features; a model says which instructions programs get (psABI levels), not which system features.
 */
import { DEFAULT, FEATURES, type Feature, featureNamed } from "./features.ts";

/** What of a `--cpu` text cannot be used: one line. */
export class CpuModelError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "CpuModelError";
  }
}

/** Instructions that x86-64-v2 and x86-64-v3 add, and those of no level that this CPU has, too. */
const V2 = ["sse3", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16", "lahf_lm"];
const V3 = [
  ...["avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "lzcnt", "movbe"],
  ...["xsave", "xsaveopt", "xsavec", "xgetbv1", "xsaves"],
];
const BEYOND = ["pclmulqdq", "aes", "rdrand", "rdseed", "adx", "3dnowprefetch", "clflushopt", "clwb"];

/** Features that a model lacks, by its name. */
const LACKS: ReadonlyMap<string, readonly string[]> = new Map([
  ["max", []],
  ["x86-64-v3", BEYOND],
  ["x86-64-v2", [...V3, ...BEYOND]],
  ["x86-64", [...V2, ...V3, ...BEYOND]],
]);

/** What a feature is of no use without: neither is there without the other's being there. */
const NEEDS: Readonly<Record<string, string>> = {
  xsaveopt: "xsave",
  xsavec: "xsave",
  xgetbv1: "xsave",
  xsaves: "xsavec",
  avx: "xsave",
  avx2: "avx",
  fma: "avx",
  f16c: "avx",
};

/** Other names in use. */
const ALIASES: Readonly<Record<string, string>> = {
  pni: "sse3",
  "sse4.1": "sse4_1",
  "sse4.2": "sse4_2",
  abm: "lzcnt",
  lahf64: "lahf_lm",
  tsc_deadline_timer: "tsc_deadline",
};

export const CPU_MODELS: readonly string[] = [...LACKS.keys()];

/** What CPUID leaf 0 says; behaviour that differs by vendor follows it (assembly/sys/model.ts). */
const VENDORS = ["GenuineIntel", "AuthenticAMD"];
/** Element of Vcpu.cpuToggle that has the vendor's number, beyond the feature words. */
const VENDOR_WORD = 11;

/**
 * The value of Vcpu.cpuToggle for a model: for each feature word, the bits in which it differs from the default; then the
 * vendor, of `vendor=NAME` among the changes.
 *
 * @throws CpuModelError
 */
export function cpuToggles(text: string): number[] {
  const [model, ...changes] = text.split(",");
  const lacks = LACKS.get(model);
  if (!lacks) throw new CpuModelError(`no CPU model '${model}'; there are ${CPU_MODELS.join(", ")}`);
  const words = [...DEFAULT];
  const set = ({ name, word, bit }: Feature, on: boolean): void => {
    words[word] = on ? words[word] | (1 << bit) : words[word] & ~(1 << bit);
    if (on && NEEDS[name]) set(featureNamed(NEEDS[name]), true);
    if (!on) for (const [other, needed] of Object.entries(NEEDS)) if (needed === name) set(featureNamed(other), false);
  };
  for (const name of lacks) set(featureNamed(name), false);
  let vendor = 0;
  for (const change of changes) {
    if (change.startsWith("vendor=")) {
      vendor = VENDORS.indexOf(change.slice(7));
      if (vendor < 0) throw new CpuModelError(`no CPU vendor '${change.slice(7)}'; there are ${VENDORS.join(" and ")}`);
      continue;
    }
    const on = change[0] === "+";
    if (!on && change[0] !== "-") throw new CpuModelError(`'${change}': write +FEATURE or -FEATURE`);
    const name = change.slice(1);
    const feature = FEATURES.get(ALIASES[name] ?? name);
    if (!feature) throw new CpuModelError(`no CPU feature '${name}'`);
    if (!on && feature.presence === "always") throw new CpuModelError(`${change}: cannot be switched off`);
    set(feature, on);
  }
  const toggles = words.map((word, i) => (word ^ DEFAULT[i]) >>> 0);
  while (toggles.length < VENDOR_WORD) toggles.push(0);
  return [...toggles, vendor];
}

/** Whether a CPU with these toggles (see `cpuToggles`) has a feature. */
export function hasFeature(toggles: readonly number[], name: string): boolean {
  const { word, bit } = featureNamed(name);
  return (((DEFAULT[word] ^ toggles[word]) >>> bit) & 1) !== 0;
}
