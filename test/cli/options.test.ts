/** The command line's words, and what --send and --until see of the serial line. */
import { describe, expect, it } from "vitest";
import {
  fitTopology,
  parseCpu,
  parseMemory,
  parsePattern,
  parseSeconds,
  parseSend,
  parseTopology,
} from "../../src/cli/options.ts";
import { SerialWatch } from "../../src/cli/watch.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

describe("sizes", () => {
  it.each([
    ["1M", 2 ** 20],
    ["512M", 2 ** 29],
    ["512", 2 ** 29],
    ["3G", 3 * 2 ** 30],
    ["2048K", 2 ** 21],
    ["1g", 2 ** 30],
    ["64MiB", 2 ** 26],
  ])("%s", (word, bytes) => expect(parseMemory(word)).toBe(bytes));
  it.each(["", "M", "-1M", "1.5G", "0", "1023K", "1025K ", "12Q", "0x10", "1 G", "1027K1", "4G", "99999999999G"])(
    "not %j",
    (word) => expect(() => parseMemory(word)).toThrow(/^--memory /),
  );
  it("only whole pages", () => expect(() => parseMemory("1025K")).toThrow("not a multiple of 4K"));
});

describe("--cpu", () => {
  it.each(["max", "x86-64", "x86-64-v2", "x86-64-v3", "max,-aes,+smap", "x86-64,+sse4.1,+pni"])("%s", (word) =>
    expect(parseCpu(word)).toBe(word),
  );
  it.each([
    ["", "no CPU model ''; there are max, x86-64-v3, x86-64-v2, x86-64"],
    ["p4", "no CPU model 'p4'"],
    ["+aes", "no CPU model '+aes'"],
    ["max,aes", "write +FEATURE or -FEATURE"],
    ["max,", "write +FEATURE or -FEATURE"],
    ["max,+sse5", "no CPU feature 'sse5'"],
    ["max,-lm", "-lm: cannot be switched off"],
  ])("not %j", (word, why) => expect(() => parseCpu(word)).toThrow(why));
});

describe("--topology", () => {
  it.each([
    ["sockets=2,cores=2,threads=2", [2, 2, 2, 8]],
    ["threads=2,cores=3", [1, 3, 2, 6]],
    ["cores=16", [1, 16, 1, 16]],
  ])("%s", (word, [sockets, cores, threads, maxcpus]) =>
    expect(parseTopology(word)).toEqual({ sockets, cores, threads, maxcpus }),
  );
  it.each([
    ["", "'' is not sockets=N, cores=N or threads=N with N from 1 to 16"],
    ["4", "'4' is not sockets=N"],
    ["cores=0", "'cores=0' is not"],
    ["cores=02", "'cores=02' is not"],
    ["cores=2,", "'' is not"],
    ["dies=2", "'dies=2' is not"],
    ["cores=2,cores=2", "cores is given twice"],
    ["cores=17", "17 CPUs; there can be 16"],
    ["sockets=2,cores=3", "3 cores: no power of two"],
    ["cores=2,threads=3", "3 threads: no power of two"],
  ])("not %j", (word, why) => expect(() => parseTopology(word)).toThrow(why));
  it("is one of the CPUs that there are", () => {
    const two = parseTopology("cores=2");
    expect(fitTopology(two, 2)).toBe(two);
    expect(() => fitTopology(two, 4)).toThrow("--topology: 1 sockets of 2 cores of 1 threads are not 4 vCPUs");
  });
});

describe("seconds", () => {
  it.each([
    ["5", 5],
    ["0.5", 0.5],
    [".25", 0.25],
  ])("%s", (word, n) => expect(parseSeconds("--timeout", word)).toBe(n));
  it.each(["0", "", "-1", "x", "Infinity", "1e9", "0x10", "NaN"])("not %j", (word) =>
    expect(() => parseSeconds("--timeout", word)).toThrow(/^--timeout /),
  );
  it("no more than the host's timers can wait", () => {
    expect(parseSeconds("--timeout", "99999999") * 1000).toBeLessThan(2 ** 31);
  });
});

describe("--send", () => {
  it("splits at the first =>", () => {
    const { pattern, text: typed } = parseSend("a.*b=>x=>y");
    expect(pattern.source).toBe("a.*b");
    expect(text(typed)).toBe("x=>y");
  });
  it.each([
    ["\\n\\r\\t\\\\", "\n\r\t\\"],
    ["\\x03\\x1b[A\\xff", "\x03\x1b[A\xff"],
    ["\\\\x41", "\\x41"],
    ["\\033\\q\\x4", "\\033\\q\\x4"],
    ["é", "\xc3\xa9"],
    ["\u{1f600}", "\xf0\x9f\x98\x80"],
    ["", ""],
  ])("types %j", (word, bytes) => expect(text(parseSend(`=>${word}`).text)).toBe(bytes));
});

describe("the watch on the serial line", () => {
  function watch(sends: string[], until?: string) {
    const typed: string[] = [];
    const serial = new SerialWatch(
      sends.map((option) => parseSend(option)),
      until === undefined ? undefined : parsePattern("--until", until),
      (bytes) => typed.push(text(bytes)),
    );
    return { typed, take: (output: string) => serial.take(new TextEncoder().encode(output)) };
  }

  it("types each text once, in order", () => {
    const { typed, take } = watch(["# =>one", "# =>two"]);
    take("# ");
    expect(typed).toEqual(["one"]);
    take("one\r\nresult\r\n");
    expect(typed).toEqual(["one"]);
    take("# ");
    take("# # # ");
    expect(typed).toEqual(["one", "two"]);
  });
  it("does not look at the second before the first", () => {
    const { typed, take } = watch(["login:=>root", "# =>ls"]);
    take("# # # ");
    expect(typed).toEqual([]);
    take("login:");
    expect(typed).toEqual(["root"]);
    take("# ");
    expect(typed).toEqual(["root", "ls"]);
  });
  it("finds several in one piece, and one in many pieces", () => {
    const whole = watch(["a=>1", "b=>2"], "c");
    expect(whole.take("abc")).toBe(true);
    expect(whole.typed).toEqual(["1", "2"]);
    const bits = watch(["login: $=>1"], "do*ne");
    for (const c of "\r\nlogin: ") expect(bits.take(c)).toBe(false);
    expect(bits.typed).toEqual(["1"]);
    for (const c of "doon") expect(bits.take(c)).toBe(false);
    expect(bits.take("e")).toBe(true);
  });
  it("ends at --until, also while a text waits for a pattern that never comes", () => {
    expect(watch(["never=>x"], "panic").take("kernel panic")).toBe(true);
    expect(watch([], "never").take("kernel panic")).toBe(false);
  });
  it("waits for the same prompt again after a text was typed there", () => {
    const { take } = watch(["> =>help"], "> ");
    expect(take("> ")).toBe(false);
    expect(take("help\r\n")).toBe(false);
    expect(take("> ")).toBe(true);
  });
  it("knows the ends of lines, and UTF-8 that comes in pieces", () => {
    expect(watch([], "^ok$").take("not ok\r\nok\r\n")).toBe(true);
    expect(watch([], "^ok$").take("not ok\r\n")).toBe(false);
    const serial = new SerialWatch([], parsePattern("--until", "é!"), () => {});
    expect(serial.take(Uint8Array.of(0xc3))).toBe(false);
    expect(serial.take(Uint8Array.of(0xa9, 0x21))).toBe(true);
  });
  it("keeps what patterns can reach back to, and finds things after megabytes", () => {
    const { typed, take } = watch(["x=>1", "end (\\d+)=>2"], "begin[\\s\\S]{60000}done");
    for (let i = 0; i < 100; i++) take("y".repeat(40_000));
    take("x");
    for (let i = 0; i < 100; i++) take("y".repeat(40_000));
    take("end");
    take(" 1");
    expect(typed).toEqual(["1", "2"]);
    for (let i = 0; i < 100; i++) take("y".repeat(40_000));
    expect(take("begin")).toBe(false);
    expect(take("z".repeat(60_000))).toBe(false);
    expect(take("done")).toBe(true);
  });
});
