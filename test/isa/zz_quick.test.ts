import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "vitest";
import { assemble } from "/work/main/src/isa/assemble.ts";
import { disassemble } from "/work/main/src/isa/disassemble.ts";
test("quick", { timeout: 300000 }, () => {
  const src = readFileSync(process.env.SRC ?? "/tmp/q.asm", "utf8").split("\n");
  let bits = 16;
  for (const line of src) {
    const m = /^\s*bits (\d+)/.exec(line);
    if (m) { bits = Number(m[1]); continue; }
    if (!line.trim()) continue;
    const text = `bits ${bits}\norg 0x1000\nback:\n${line}\nfwd:\n`;
    writeFileSync("/tmp/q1.asm", text);
    let want = "", got = "";
    try { execFileSync("nasm", ["-f", "bin", "-o", "/tmp/q1.bin", "/tmp/q1.asm"], { stdio: "pipe" }); want = readFileSync("/tmp/q1.bin").toString("hex"); } catch (e) { want = String((e as any).stderr).split("\n")[0]; }
    let b = new Uint8Array();
    try { b = assemble(text).bytes; got = Buffer.from(b).toString("hex"); } catch (e) { got = e.message; }
    const d = disassemble(b, 0, { mode: bits as 16, ip: 0x1000n });
    if (want !== got) console.log(`DIFF ${bits}: ${line}\n   nasm ${want}\n   ours ${got}   ${d.text}`);
    else if (process.env.V) console.log(`${bits} ${line.trim()} -> ${got} -> ${d.text}`);
  }
});
