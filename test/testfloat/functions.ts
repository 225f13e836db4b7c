/**
 * What of TestFloat's functions x87 and SSE can do, as 64-bit code: a body for each way to do one. It takes operands
 * at [rsi], [rsi+16] and [rsi+32], leaves the result at [rdi] and the exceptions found (in the order of MXCSR and FSW)
 * in eax; it may use rax, rdx and any vector or x87 register. `clear` and `control` are MXCSR and FCW for the
 * rounding mode at hand, without exceptions and with all of them masked.
 */

/** How the processor rounds (the RC field), with TestFloat's option for it. */
export const ROUNDING = [
  { rc: 0, option: "-rnear_even" },
  { rc: 1, option: "-rmin" },
  { rc: 2, option: "-rmax" },
  { rc: 3, option: "-rminMag" },
] as const;

export interface Rounding {
  readonly rc: number;
  readonly option: string;
}
const ANY: Rounding = ROUNDING[0];
/** Truncation, whatever RC says. */
const TRUNCATED: Rounding = { rc: 0, option: "-rminMag" };

export interface Way {
  readonly name: string;
  /** Function of testfloat_gen, with options of its own. */
  readonly generate: readonly string[];
  readonly body: string;
  /** Bytes of each operand and of the result as TestFloat writes them. */
  readonly operands: readonly number[];
  readonly result: number;
  /** Precision control (the PC field), 3 where it says nothing. */
  readonly pc?: number;
  /** MXCSR.PE is set before, so that inexactness does not show: the way that takes the host's arithmetic. */
  readonly sticky?: boolean;
  /** The result stands in every element of this many bytes. */
  readonly packed?: number;
  /** Where the CPU's answer is another than SoftFloat's 8086-SSE's: result and flags in TestFloat's form. */
  readonly instead?: (operands: readonly string[]) => readonly [result: string, flags: number] | undefined;
  /** The one rounding mode to run, if the result does not depend on it. */
  readonly once?: Rounding;
}

const F32 = { size: 4, s: "ss", p: "ps", d: "dword", name: "f32" };
const F64 = { size: 8, s: "sd", p: "pd", d: "qword", name: "f64" };
type Format = typeof F32;

const MXCSR = "  sub rsp,8\n  stmxcsr [rsp]\n  pop rax\n";
const sse = (body: string): string => `  ldmxcsr [clear]\n${body}\n${MXCSR}`;
const x87 = (body: string): string => `  fninit\n  fldcw [control]\n${body}`;
const FSW = "  fnstsw ax\n";

function arithmetic(f: Format): Way[] {
  const move = `mov${f.s}`;
  const out: Way[] = [];
  for (const op of ["add", "sub", "mul", "div", "sqrt"]) {
    const unary = op === "sqrt";
    const operands = unary ? [f.size] : [f.size, f.size];
    const base = { generate: [`${f.name}_${op}`], operands, result: f.size };
    const scalar = sse(
      `  ${move} xmm0,[rsi]\n  ${move} xmm1,[rsi+${unary ? 0 : 16}]\n  ${op}${f.s} xmm0,xmm1\n  ${move} [rdi],xmm0`,
    );
    const spread = (x: string): string => (f.size === 8 ? `  unpcklpd ${x},${x}` : `  shufps ${x},${x},0`);
    const packed = sse(
      `  ${move} xmm0,[rsi]\n  ${move} xmm1,[rsi+${unary ? 0 : 16}]\n${spread("xmm0")}\n${spread("xmm1")}
  ${op}${f.p} xmm0,xmm1\n  movups [rdi],xmm0`,
    );
    for (const sticky of [false, true]) {
      const how = sticky ? ", PE set before" : "";
      out.push({ ...base, name: `${op}${f.s}${how}`, body: scalar, sticky });
      out.push({ ...base, name: `${op}${f.p}${how}`, body: packed, sticky, packed: f.size });
    }
  }
  return out;
}

/** COMI (signaling) and UCOMI (quiet), with b as the first operand where "below" must be false for unordered ones. */
function comparisons(f: Format): Way[] {
  const load = `  mov${f.s} xmm0,[rsi]\n  mov${f.s} xmm1,[rsi+16]\n`;
  const base = { operands: [f.size, f.size], result: 1, once: ANY };
  const flags = (u: string, set: string): string =>
    sse(
      `${load}  ${u}comi${f.s} ${set === "e" ? "xmm0,xmm1" : "xmm1,xmm0"}\n  set${set} al\n  setnp dl\n  and al,dl\n  mov [rdi],al`,
    );
  const mask = (predicate: number): string =>
    sse(`${load}  cmp${f.s} xmm0,xmm1,${predicate}\n  movd eax,xmm0\n  and al,1\n  mov [rdi],al`);
  return [
    { ...base, name: `ucomi${f.s} equal`, generate: [`${f.name}_eq`], body: flags("u", "e") },
    { ...base, name: `comi${f.s} equal`, generate: [`${f.name}_eq_signaling`], body: flags("", "e") },
    { ...base, name: `comi${f.s} at most`, generate: [`${f.name}_le`], body: flags("", "ae") },
    { ...base, name: `comi${f.s} below`, generate: [`${f.name}_lt`], body: flags("", "a") },
    { ...base, name: `ucomi${f.s} at most`, generate: [`${f.name}_le_quiet`], body: flags("u", "ae") },
    { ...base, name: `ucomi${f.s} below`, generate: [`${f.name}_lt_quiet`], body: flags("u", "a") },
    { ...base, name: `cmpeq${f.s}`, generate: [`${f.name}_eq`], body: mask(0) },
    { ...base, name: `cmplt${f.s}`, generate: [`${f.name}_lt`], body: mask(1) },
    { ...base, name: `cmple${f.s}`, generate: [`${f.name}_le`], body: mask(2) },
  ];
}

function conversions(f: Format): Way[] {
  const from = { operands: [f.size] };
  const load = `  mov${f.s} xmm0,[rsi]\n`;
  const out: Way[] = [];
  for (const [size, register] of [
    [4, "eax"],
    [8, "rax"],
  ] as const) {
    const integer = `i${size * 8}`;
    const store = `  mov [rdi],${register}`;
    out.push({
      ...from,
      name: `cvt${f.s}2si ${register}`,
      generate: ["-exact", `${f.name}_to_${integer}`],
      result: size,
      body: sse(`${load}  cvt${f.s}2si ${register},xmm0\n${store}`),
    });
    out.push({
      ...from,
      name: `cvtt${f.s}2si ${register}`,
      generate: ["-exact", `${f.name}_to_${integer}`],
      result: size,
      once: TRUNCATED,
      body: sse(`${load}  cvtt${f.s}2si ${register},xmm0\n${store}`),
    });
    out.push({
      operands: [size],
      name: `cvtsi2${f.s} ${register}`,
      generate: [`${integer}_to_${f.name}`],
      result: f.size,
      body: sse(`  mov ${register},[rsi]\n  cvtsi2${f.s} xmm0,${register}\n  mov${f.s} [rdi],xmm0`),
    });
  }
  for (const [option, imm] of [
    ["-exact", 4],
    ["-notexact", 12],
  ] as const) {
    out.push({
      ...from,
      name: `round${f.s} ${option.slice(1)}`,
      generate: [option, `${f.name}_roundToInt`],
      result: f.size,
      body: sse(`${load}  round${f.s} xmm0,xmm0,${imm}\n  mov${f.s} [rdi],xmm0`),
    });
  }
  return out;
}

const INVALID = 0x10;

/** 0 * infinity + NaN: an Intel CPU answers that NaN, and only a signalling one is invalid; SoftFloat has the default NaN. */
function infinityTimesZero(f: Format): NonNullable<Way["instead"]> {
  const bits = BigInt(f.size * 8 - 1);
  const magnitude = (1n << bits) - 1n;
  const quiet = 1n << (f.size === 4 ? 22n : 51n);
  const infinity = magnitude & ~(quiet * 2n - 1n);
  return (operands) => {
    const [a, b, c] = operands.map((text) => BigInt(`0x${text}`));
    const [low, high] = [a & magnitude, b & magnitude].sort((x, y) => (x < y ? -1 : 1));
    if (low !== 0n || high !== infinity || (c & magnitude) <= infinity) return undefined;
    const result = (c | quiet)
      .toString(16)
      .toUpperCase()
      .padStart(f.size * 2, "0");
    return [result, c & quiet ? 0 : INVALID];
  };
}

/** The first NaN of VFMADD213's operands counts, in the order op2 * op1 + op3: so a is op2. */
function fused(f: Format): Way[] {
  return [false, true].map((sticky) => ({
    name: `vfmadd213${f.s}${sticky ? ", PE set before" : ""}`,
    generate: [`${f.name}_mulAdd`],
    operands: [f.size, f.size, f.size],
    result: f.size,
    sticky,
    instead: infinityTimesZero(f),
    body: sse(
      `  mov${f.s} xmm1,[rsi]\n  mov${f.s} xmm0,[rsi+16]\n  mov${f.s} xmm2,[rsi+32]
  vfmadd213${f.s} xmm0,xmm1,xmm2\n  mov${f.s} [rdi],xmm0`,
    ),
  }));
}

const BETWEEN: Way[] = [
  {
    name: "cvtss2sd",
    generate: ["f32_to_f64"],
    operands: [4],
    result: 8,
    once: ANY,
    body: sse("  cvtss2sd xmm0,[rsi]\n  movsd [rdi],xmm0"),
  },
  {
    name: "cvtsd2ss",
    generate: ["f64_to_f32"],
    operands: [8],
    result: 4,
    body: sse("  cvtsd2ss xmm0,[rsi]\n  movss [rdi],xmm0"),
  },
  {
    name: "cvtps2dq",
    generate: ["-exact", "f32_to_i32"],
    operands: [4],
    result: 4,
    packed: 4,
    body: sse("  movss xmm0,[rsi]\n  shufps xmm0,xmm0,0\n  cvtps2dq xmm0,xmm0\n  movups [rdi],xmm0"),
  },
  {
    name: "cvtdq2ps",
    generate: ["i32_to_f32"],
    operands: [4],
    result: 4,
    packed: 4,
    body: sse("  movss xmm0,[rsi]\n  shufps xmm0,xmm0,0\n  cvtdq2ps xmm0,xmm0\n  movups [rdi],xmm0"),
  },
  {
    name: "cvtdq2pd",
    generate: ["i32_to_f64"],
    operands: [4],
    result: 8,
    packed: 8,
    once: ANY,
    body: sse("  movss xmm0,[rsi]\n  shufps xmm0,xmm0,0\n  cvtdq2pd xmm0,xmm0\n  movups [rdi],xmm0"),
  },
  {
    name: "vcvtph2ps",
    generate: ["f16_to_f32"],
    operands: [2],
    result: 4,
    once: ANY,
    body: sse("  movzx eax,word [rsi]\n  movd xmm0,eax\n  vcvtph2ps xmm0,xmm0\n  movss [rdi],xmm0"),
  },
  {
    name: "vcvtps2ph",
    generate: ["f32_to_f16"],
    operands: [4],
    result: 2,
    body: sse("  movss xmm0,[rsi]\n  vcvtps2ph xmm0,xmm0,4\n  movd eax,xmm0\n  mov [rdi],ax"),
  },
];

function x87Arithmetic(): Way[] {
  const out: Way[] = [];
  for (const op of ["add", "sub", "mul", "div", "sqrt"]) {
    const unary = op === "sqrt";
    const body = x87(
      unary
        ? `  fld tword [rsi]\n  fsqrt\n${FSW}  fstp tword [rdi]`
        : `  fld tword [rsi]\n  fld tword [rsi+16]\n  f${op}p st1,st0\n${FSW}  fstp tword [rdi]`,
    );
    for (const [pc, bits] of [
      [3, 80],
      [2, 64],
      [0, 32],
    ] as const) {
      out.push({
        name: `f${op}, PC ${pc}`,
        generate: [`-precision${bits}`, `extF80_${op}`],
        operands: unary ? [10] : [10, 10],
        result: 10,
        pc,
        body,
      });
    }
  }
  return out;
}

function x87Others(): Way[] {
  const out: Way[] = [
    {
      name: "fprem1",
      generate: ["extF80_rem"],
      operands: [10, 10],
      result: 10,
      once: ANY,
      body: x87(
        `  fld tword [rsi+16]\n  fld tword [rsi]\n  xor edx,edx\n.again:\n  fprem1\n${FSW}  test ah,4\n  jnz .again\n  fstp tword [rdi]`,
      ),
    },
    {
      name: "frndint",
      generate: ["-exact", "extF80_roundToInt"],
      operands: [10],
      result: 10,
      body: x87(`  fld tword [rsi]\n  frndint\n${FSW}  fstp tword [rdi]`),
    },
    {
      name: "fstp m32",
      generate: ["extF80_to_f32"],
      operands: [10],
      result: 4,
      body: x87(`  fld tword [rsi]\n  fstp dword [rdi]\n${FSW}`),
    },
    {
      name: "fstp m64",
      generate: ["extF80_to_f64"],
      operands: [10],
      result: 8,
      body: x87(`  fld tword [rsi]\n  fstp qword [rdi]\n${FSW}`),
    },
    {
      name: "fld m32",
      generate: ["f32_to_extF80"],
      operands: [4],
      result: 10,
      once: ANY,
      body: x87(`  fld dword [rsi]\n${FSW}  fstp tword [rdi]`),
    },
    {
      name: "fld m64",
      generate: ["f64_to_extF80"],
      operands: [8],
      result: 10,
      once: ANY,
      body: x87(`  fld qword [rsi]\n${FSW}  fstp tword [rdi]`),
    },
  ];
  for (const [size, d] of [
    [4, "dword"],
    [8, "qword"],
  ] as const) {
    const integer = `i${size * 8}`;
    out.push(
      {
        name: `fistp ${d}`,
        generate: ["-exact", `extF80_to_${integer}`],
        operands: [10],
        result: size,
        body: x87(`  fld tword [rsi]\n  fistp ${d} [rdi]\n${FSW}`),
      },
      {
        name: `fisttp ${d}`,
        generate: ["-exact", `extF80_to_${integer}`],
        operands: [10],
        result: size,
        once: TRUNCATED,
        body: x87(`  fld tword [rsi]\n  fisttp ${d} [rdi]\n${FSW}`),
      },
      {
        name: `fild ${d}`,
        generate: [`${integer}_to_extF80`],
        operands: [size],
        result: 10,
        once: ANY,
        body: x87(`  fild ${d} [rsi]\n${FSW}  fstp tword [rdi]`),
      },
    );
  }
  const compare = (instruction: string, first: number, set: string): string =>
    x87(
      `  fld tword [rsi+${16 - first}]\n  fld tword [rsi+${first}]\n  ${instruction} st0,st1\n  set${set} dl\n  setnp dh
  and dl,dh\n  mov [rdi],dl\n${FSW}`,
    );
  for (const [name, instruction, first, set] of [
    ["eq", "fucomi", 0, "e"],
    ["eq_signaling", "fcomi", 0, "e"],
    ["le", "fcomi", 16, "ae"],
    ["lt", "fcomi", 16, "a"],
    ["le_quiet", "fucomi", 16, "ae"],
    ["lt_quiet", "fucomi", 16, "a"],
  ] as const) {
    out.push({
      name: `${instruction} ${name}`,
      generate: [`extF80_${name}`],
      operands: [10, 10],
      result: 1,
      once: ANY,
      body: compare(instruction, first, set),
    });
  }
  return out;
}

export const WAYS: readonly Way[] = [
  ...x87Others(),
  ...x87Arithmetic(),
  ...BETWEEN,
  ...[F32, F64].flatMap((f) => [...conversions(f), ...comparisons(f), ...arithmetic(f)]),
  ...[F32, F64].flatMap(fused),
];
