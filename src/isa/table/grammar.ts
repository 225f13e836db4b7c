/**
 * The grammar of the instruction table. One row is one line of text, four columns:
 *
 *     opcode | mnemonic operands | meaning | attributes
 *
 * **opcode**   `[vex[.l0|.l1][.w0|.w1]] [np|66|f3|f2] [0f|0f38|0f3a] xx[+r|+cc] [/r|/0../7] [mem|reg] [rm=n]`
 *              `vex`: VEX-encoded (SDM vol. 2, 2.3), with these values of VEX.L and VEX.W or any; prefix and map are
 *              VEX.pp and VEX.mmmmm.
 *              A mandatory prefix (`np` = none of 66, F3, F2). A row without one takes every prefix that no other
 *              row of the opcode claims. `+r`: the low three bits name a register. `+cc`: the low four bits are a
 *              condition; the row stands for sixteen, `cc` in its mnemonic is replaced. `/r`: ModRM follows.
 *              `/n`: ModRM.reg extends the opcode. `mem`, `reg`: only with ModRM.mod != 3, = 3. `rm=n`: ModRM.rm.
 * **operands** SDM vol. 2 appendix A: an addressing letter and a size.
 *              E r/m GPR or memory · G ModRM.reg GPR · R ModRM.rm GPR only · M memory only · Z GPR of the opcode
 *              I immediate · J relative · O moffs · A far immediate · S segment · C control · D debug register
 *              B GPR of VEX.vvvv (first operand: the destination; else its place goes to the immediate)
 *              P MMX ModRM.reg · Q MMX or memory · N MMX ModRM.rm only · V XMM ModRM.reg · W XMM or memory ·
 *              U XMM ModRM.rm only · H XMM of VEX.vvvv (first operand: the destination, and the second is the first
 *              source; else the first source) · L XMM of imm8[7:4] ·
 *              fixed: AL AX eAX rAX CL DX 1 3 ES CS SS DS FS GS ST0 STi XMM0 ·
 *              X, Y: string operands at rSI, rDI (shown by the disassembler; the meaning knows them)
 *              sizes: b 8 · w 16 · d 32 · q 64 · o 128 · x 128, 256 with VEX.L (YMM registers) · v 16/32/64 by operand size · z 16/32 (immediates; sign
 *              extended to 64) · y 32/64 · p far pointer · s descriptor table pseudo-pointer · n = none (address only;
 *              Gn: a register of y's width that leaves the operand size to the next operand)
 *              t 80-bit real · e FPU environment and the like (the meaning knows its size)
 * **meaning**  a name from SEMANTICS (generic over the engines' backends: assembly/sem), or `@handler`, a function
 *              `handler(c: Vcpu, u: usize): bool` of assembly/sys, assembly/fp or assembly/simd that both engines
 *              call; or `#UD` (takes an encoding away from a row without prefix).
 * **attributes**
 *              i64 / o64   invalid in / only valid in 64-bit mode
 *              d64 / f64   operand size defaults to 64 (66 gives 16) / is always 64, in 64-bit mode
 *              lock        LOCK is allowed with a memory destination
 *              locked      with a memory destination it is locked without the prefix, too
 *              end         ends a block; afterwards the next instruction is looked up anew (modes may have changed)
 *              br          ends a block: the meaning stores RIP itself
 *              ev          go back to the outer loop afterwards (interrupts may have become possible)
 *              mr          a handler only reads its first operand (memory), which otherwise counts as written
 *              prot        #UD outside protected mode (and in virtual-8086 mode)
 *              fpu / mmx / sse   checks CR0.EM, CR0.TS, CR4.OSFXSR as that class of instructions does
 *              avx         needs the feature AVX, CR4.OSXSAVE and XCR0[2:1], and checks CR0.TS
 *              own         the handler addresses memory itself: it gets the parts of the address and the segment
 *                          (assembly/simd/element.ts), not a linear address
 *              vsib=o|x    the index is a vector register of that size (SDM vol. 2, 2.3.12); with own
 *              k=N         a constant for the handler, in place of an immediate
 *              rep         a string instruction: F3/F2 repeat it
 *              hot, hotr   dispatched inline in the interpreter's switch; hotr only with register operands
 *              fr= fw= fu= flags read, written, left undefined (letters of oszapc, d, i)
 *              r= w=       registers read and written beyond the operands
 *              cpuid=X     needs CPUID feature X (../features.ts), else #UD
 *              alias       without its feature the row of the same opcode without prefix counts instead
 */
export interface Row {
  /** Number of the row: stable within one generation, 1 up (0 is "undefined opcode"). */
  id: number;
  vex: boolean;
  /** Required VEX.L and VEX.W; -1: any. */
  l: number;
  w: number;
  prefix: "" | "np" | "66" | "f3" | "f2";
  map: 0 | 1 | 2 | 3;
  opcode: number;
  plusR: boolean;
  /** Condition code of an expanded +cc row, or -1. */
  cc: number;
  modrm: boolean;
  reg: number;
  mod: "" | "mem" | "reg";
  rm: number;
  mnemonic: string;
  operands: string[];
  meaning: string;
  attrs: Set<string>;
  values: Map<string, string>;
  /** The text it came from. */
  text: string;
}

export const CONDITIONS = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];

const OPCODE =
  /^(?:(vex)(?:\.l([01]))?(?:\.w([01]))? )?(?:(np|66|f3|f2) )?(?:(0f38|0f3a|0f) )?([0-9a-f]{2})(\+r|\+cc)?(?: \/([r0-7]))?(?: (mem|reg))?(?: rm=([0-7]))?$/;

/** Parses table text; throws with the line if it does not follow the grammar. */
export function parseRows(text: string, firstId: number): Row[] {
  const rows: Row[] = [];
  for (const line of text.split("\n")) {
    if (!line.trim() || line.trimStart().startsWith("#")) continue;
    const [op, syntax, meaning, attributes = ""] = line.split("|").map((s) => s.trim());
    const vex = OPCODE.exec(op);
    const m = vex?.slice(3);
    if (!vex || !m || !syntax || !meaning) throw new Error(`instruction table: cannot read row: ${line}`);
    const [mnemonic, operandText = ""] = syntax.split(/ (.*)/);
    const attrs = new Set<string>();
    const values = new Map<string, string>();
    for (const a of attributes.split(" ").filter(Boolean)) {
      const eq = a.indexOf("=");
      if (eq < 0) attrs.add(a);
      else values.set(a.slice(0, eq), a.slice(eq + 1));
    }
    const base = Number.parseInt(m[3], 16);
    for (let cc = m[4] === "+cc" ? 0 : -1; cc < (m[4] === "+cc" ? 16 : 0); cc++) {
      rows.push({
        id: firstId + rows.length,
        vex: vex[1] !== undefined,
        l: Number(vex[2] ?? -1),
        w: Number(vex[3] ?? -1),
        prefix: (m[1] ?? "") as Row["prefix"],
        map: m[2] === undefined ? 0 : m[2] === "0f" ? 1 : m[2] === "0f38" ? 2 : 3,
        opcode: base + Math.max(cc, 0),
        plusR: m[4] === "+r",
        cc,
        modrm: m[5] !== undefined,
        reg: m[5] === undefined || m[5] === "r" ? -1 : Number(m[5]),
        mod: (m[6] ?? "") as Row["mod"],
        rm: m[7] === undefined ? -1 : Number(m[7]),
        mnemonic: cc < 0 ? mnemonic : mnemonic.replace("cc", CONDITIONS[cc]),
        operands: operandText.split(",").filter(Boolean),
        meaning,
        attrs,
        values,
        text: line.trim(),
      });
    }
  }
  return rows;
}
