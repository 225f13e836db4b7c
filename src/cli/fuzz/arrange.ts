/**
 * What an instruction needs beyond its operands, so that more comes of it than a fault: counts, divisors that fit,
 * selectors that can be loaded, images that can be restored. Only mostly: the rest is left to chance.
 */

import { X } from "./case.ts";
import type { Chosen } from "./encode.ts";
import { DATA, LOW, littleEndian, type State } from "./state.ts";

type Arrange = (s: State, c: Chosen) => void;

const SELECTORS = [0, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x2b, 0x33, 0x23];
const CODE_SELECTORS = [0x07, 0x17, 0x33, 0x23];

const stackTop = (s: State): number => Number(s.gpr[4] & 0xffff_ffffn) + (s.mode === 16 ? 0x10_0000 : 0);

/** RSI, RDI and the count of a string instruction. */
const strings: Arrange = (s, c) => {
  const { r } = s;
  s.set(1, BigInt(r.pick([0, 1, 2, 3, 5, r.below(20), r.below(80)])), c.asize);
  const from = c.asize === 16 && s.mode === 32 ? LOW + 0x400 : DATA + 0x400;
  for (const register of [6, 7]) {
    const n = r.below(20);
    const at =
      n < 14 ? from + r.below(0x700) : n < 17 ? from + 0xc00 - r.below(64) : Number(s.target(8, false) & 0xff_ffffn);
    s.set(register, BigInt(s.offset(at)), c.asize);
    // What compares equal for a while.
    if (r.percent(60))
      s.poke(
        at,
        new Uint8Array(64).map((_, i) => (r.percent(3) ? i : Number(s.gpr[0] & 0xffn))),
      );
  }
};

const smallCl: Arrange = (s) => {
  if (s.r.percent(85)) s.set(1, BigInt(s.r.below(70)), 8);
};

const divide: Arrange = (s, c) => {
  const { r } = s;
  if (c.row.operands[0] === "Eb") {
    if (r.percent(70)) s.gpr[0] = (s.gpr[0] & ~0xff00n) | (BigInt(r.below(4)) << 8n);
    return;
  }
  if (r.percent(70)) {
    const negative = c.row.mnemonic === "IDIV" && (s.gpr[0] >> BigInt(c.z - 1)) & 1n;
    s.set(2, negative ? -1n : BigInt(r.below(3)), 64);
  }
};

const branchTo: Arrange = (s, c) => {
  if (!s.r.percent(85)) return;
  const target = BigInt(s.offset(s.code()));
  if (c.address !== undefined) s.poke64(c.address, target, c.z / 8);
  else if (c.rm !== 4) s.set(c.rm, target, 64);
};

const returnTo: Arrange = (s, c) => {
  if (!s.r.percent(85)) return;
  const size = c.z / 8;
  const selector = BigInt(s.r.percent(80) ? s.r.pick(CODE_SELECTORS) : s.r.pick(SELECTORS));
  s.poke64(stackTop(s), BigInt(s.offset(s.code())), size);
  if (c.row.mnemonic === "RET") return;
  s.poke64(stackTop(s) + size, selector, size);
  if (c.row.mnemonic !== "IRET") return;
  s.poke64(stackTop(s) + 2 * size, BigInt((s.r.u32() & 0xcd5) | 0x202), size);
  s.poke64(stackTop(s) + 3 * size, s.gpr[4] + BigInt(s.r.below(64)), size);
  s.poke64(stackTop(s) + 4 * size, BigInt(s.r.pick([0x2b, 0x0f, 0x1f, 0])), size);
};

const farPointer: Arrange = (s, c) => {
  const { r } = s;
  const offset = Math.min(c.z, 64) / 8;
  const code = /^(JMP|CALL)/.test(c.row.mnemonic);
  const selector = r.percent(85) ? r.pick(code ? CODE_SELECTORS : SELECTORS) : r.below(0x10000);
  const target = BigInt(s.offset(s.code()));
  if (c.address !== undefined) {
    s.poke64(c.address, target, offset);
    s.poke64(c.address + BigInt(offset), BigInt(selector), 2);
  } else {
    c.tail.set(littleEndian(target, Math.min(offset, 4)));
    c.tail.set(littleEndian(BigInt(selector), 2), Math.min(offset, 4));
  }
};

const loadSelector: Arrange = (s, c) => {
  if (!s.r.percent(90)) return;
  const selector = BigInt(s.r.pick(SELECTORS));
  if (c.row.mnemonic === "POP") s.poke64(stackTop(s), selector, 2);
  else if (c.address !== undefined) s.poke64(c.address, selector, 2);
  else s.set(c.rm, selector, 16);
};

/** FLDENV, FRSTOR, FXRSTOR, LDMXCSR, FLDCW: images with plausible control words and tags. */
const image: Arrange = (s, c) => {
  const { r } = s;
  if (c.address === undefined || !r.percent(85)) return;
  const at = c.address;
  const { mnemonic } = c.row;
  if (mnemonic === "LDMXCSR" || mnemonic === "VLDMXCSR") s.poke64(at, BigInt(s.mxcsr()), 4);
  else if (mnemonic === "FLDCW") s.poke64(at, BigInt(s.fcw()), 2);
  else if (mnemonic.startsWith("FX")) {
    s.poke(at & ~15n, s.xsave.slice(0, 512));
    s.poke64((at & ~15n) + BigInt(X.mxcsr), BigInt(s.mxcsr()), 4);
  } else {
    const word = c.z === 16 ? 2n : 4n;
    const fsw = r.below(0x10000) & ~0x80bf;
    for (const [i, value] of [s.fcw(), fsw, r.below(0x10000)].entries())
      s.poke64(at + word * BigInt(i), BigInt(value), 2);
    if (mnemonic === "FRSTOR") s.poke(at + word * 7n, s.bytes("extended", 128).slice(0, 80));
  }
};

const equalAccumulator: Arrange = (s, c) => {
  if (!s.r.percent(60)) return;
  if (c.row.mnemonic === "CMPXCHG8B") {
    const half = c.z === 64 ? 8 : 4;
    if (c.address === undefined) return;
    s.poke64(c.address, s.gpr[0], half);
    s.poke64(c.address + BigInt(half), s.gpr[2], half);
  } else if (c.address !== undefined) s.poke64(c.address, s.gpr[0]);
  else s.gpr[c.rm] = s.gpr[0];
};

const vectorCount: Arrange = (s, c) => {
  if (!s.r.percent(80)) return;
  const count = littleEndian(BigInt(s.r.below(72)), 8);
  if (c.address !== undefined) s.poke(c.address, count);
  else if (c.row.attrs.has("mmx")) s.xsave.set(count, X.st + (c.rm & 7) * 16);
  else s.xsave.set(littleEndian(BigInt(s.r.below(72)), 16), X.xmm + c.rm * 16);
};

const ARRANGE: readonly (readonly [RegExp, Arrange])[] = [
  [/^(MOVS|CMPS|STOS|LODS|SCAS|INS|OUTS)$/, strings],
  [/^(ROL|ROR|RCL|RCR|SHL|SHR|SAR|SHLD|SHRD|LOOP|LOOPE|LOOPNE|JCXZ)$/, smallCl],
  [/^I?DIV$/, divide],
  [/^(RET|RETF|IRET)$/, returnTo],
  [/^L[DEFGS]S$/, farPointer],
  [/^(CMPXCHG|CMPXCHG8B)$/, equalAccumulator],
  [/^(FLDENV|FRSTOR|FXRSTOR|V?LDMXCSR|FLDCW)$/, image],
  [/^V?PS(LL|RL|RA)[WDQ]$/, vectorCount],
  [
    /^(JMP|CALL)$/,
    (s, c) => {
      if (c.row.operands.some((o) => /^(Mp|Ap)$/.test(o))) farPointer(s, c);
      else if (c.row.operands[0] === "Ev") branchTo(s, c);
    },
  ],
  [
    /^(MOV|POP)$/,
    (s, c) => {
      const first = c.row.operands[0];
      if (first === "Sw" || /^[C-GS]S$/.test(first)) loadSelector(s, c);
    },
  ],
  [
    /^BT[SRC]?$/,
    (s, c) => {
      if (c.address !== undefined && s.r.percent(92)) s.set(c.reg, BigInt(s.r.below(3000) - 1500), c.z);
    },
  ],
  [
    /^POPF$/,
    (s) => {
      s.poke64(stackTop(s), BigInt((s.r.u32() & ~0x100) >>> 0));
    },
  ],
  [
    /^ENTER$/,
    (s, c) => {
      if (s.r.percent(70)) c.tail[2] = s.r.below(5);
      if (s.r.percent(85)) c.tail[1] = s.r.below(4);
      s.gpr[5] = s.gpr[4] + BigInt(s.r.below(0x200));
    },
  ],
  [
    /^LEAVE$/,
    (s) => {
      if (s.r.percent(90)) s.gpr[5] = s.gpr[4] + BigInt(s.r.below(0x200));
    },
  ],
  [
    /^XLATB$/,
    (s) => {
      s.gpr[3] = BigInt(s.offset(s.data()));
    },
  ],
  [
    /^V?MASKMOV(Q|DQU)$/,
    (s) => {
      s.gpr[7] = BigInt(s.offset(Number(s.target(16, false) & 0xff_ffffn)));
    },
  ],
  [
    /^AAM$/,
    (s, c) => {
      c.tail[0] = s.r.pick([10, 10, 16, 1, 255, s.r.below(256)]);
    },
  ],
  [
    /^BOUND$/,
    (s, c) => {
      if (c.address === undefined || !s.r.percent(70)) return;
      s.set(c.reg, BigInt(s.r.below(200) - 50), c.z);
      s.poke64(c.address, BigInt(s.r.below(60) - 60), c.z / 8);
      s.poke64(c.address + BigInt(c.z / 8), BigInt(60 + s.r.below(100)), c.z / 8);
    },
  ],
  [
    /^V?PCMP[EI]STR[IM]$/,
    (s, c) => {
      if (s.r.percent(80)) {
        s.setXmm(c.reg, s.bytes("text", 16));
        if (c.address === undefined) s.setXmm(c.rm, s.bytes("text", 16));
      }
      for (const register of [0, 2]) if (s.r.percent(85)) s.gpr[register] = BigInt(s.r.below(24));
    },
  ],
  [
    /^(BEXTR|BZHI)$/,
    (s, c) => {
      if (s.r.percent(70)) s.set(c.vvvv, BigInt(s.r.below(72) | (s.r.below(40) << 8)), 32);
    },
  ],
  [
    // The components that both CPUs have.
    /^X(SAVE|RSTOR|SAVEC|SAVEOPT)/,
    (s, c) => {
      const { r } = s;
      s.gpr[0] = BigInt(r.below(8));
      s.gpr[2] = 0n;
      if (c.address === undefined) return;
      const at = c.address & ~63n;
      s.poke(at, s.xsave.slice(0, 512));
      if (!r.percent(90)) return;
      const components = BigInt(r.below(8));
      const compacted = r.percent(40) ? (1n << 63n) | components | BigInt(r.below(8)) : 0n;
      s.poke(at + 512n, new Uint8Array(64));
      s.poke64(at + 512n, components);
      s.poke64(at + 520n, compacted);
    },
  ],
];

const known = new Map<string, readonly Arrange[]>();

export function arrange(s: State, c: Chosen): void {
  const { mnemonic } = c.row;
  let list = known.get(mnemonic);
  if (!list) {
    list = ARRANGE.filter(([pattern]) => pattern.test(mnemonic)).map(([, make]) => make);
    known.set(mnemonic, list);
  }
  for (const make of list) make(s, c);
}
