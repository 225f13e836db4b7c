import { describe, expect, it } from "vitest";
import { Uart16550, type Uart16550Options } from "../../src/io/uart16550.ts";
import { SnapshotError } from "../../src/shared/device.ts";
import { FakePin, FakeTimers, fakeLog, Random } from "./fakes.ts";

const [RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7];
const [THR, FCR] = [0, 2];
/** One 8N1 character at the reset divisor (9600 baud), ns. */
const CHARACTER = (10n * 16n * 12n * 1_000_000_000n) / 1_843_200n;

function board(options: Uart16550Options = {}) {
  const timers = new FakeTimers();
  const pin = new FakePin(timers);
  const sent: number[] = [];
  const log = fakeLog();
  const uart = new Uart16550(pin, (byte) => sent.push(byte), timers, log, options);
  const r = (at: number) => uart.read(at, 1);
  const w = (at: number, value: number) => uart.write(at, 1, value);
  return { timers, pin, sent, log, uart, r, w };
}

const text = (s: string) => new TextEncoder().encode(s);

describe("registers", () => {
  it("comes out of reset as the datasheet says", () => {
    const { uart, r } = board();
    uart.reset();
    expect([IER, IIR, LCR, MCR, LSR].map(r)).toEqual([0, 1, 0, 0, 0x60]);
    expect(r(MSR) & 0x0f).toBe(0);
  });

  it("reaches the divisor through DLAB and nothing else", () => {
    const { r, w, sent } = board();
    w(LCR, 0x83);
    w(0, 0x34);
    w(1, 0x12);
    expect([r(0), r(1)]).toEqual([0x34, 0x12]);
    w(LCR, 0x03);
    expect(r(IER)).toBe(0);
    expect(sent).toEqual([]);
  });

  it("keeps SCR, and drops the bits IER and MCR do not have", () => {
    const { r, w } = board();
    w(SCR, 0xa5);
    w(IER, 0xf8);
    w(MCR, 0xe3);
    expect([r(SCR), r(IER), r(MCR)]).toEqual([0xa5, 0x08, 0x03]);
  });

  it("splits a word access into bytes", () => {
    const { uart, r, w } = board();
    w(LCR, 0x80);
    uart.write(0, 2, 0x0102);
    expect([r(0), r(1), uart.read(0, 2)]).toEqual([2, 1, 0x0102]);
  });
});

describe("publishing", () => {
  const published = (options: Uart16550Options = {}) => {
    const shown: (number | undefined)[] = [];
    const b = board({
      ...options,
      publish: (register, value) => {
        shown[register] = value;
      },
    });
    b.uart.reset();
    return { ...b, shown };
  };

  it("shows what a read would give, whatever was done before", () => {
    const random = new Random(7);
    for (let round = 0; round < 300; round++) {
      const { uart, r, w, shown } = published();
      for (let step = 0; step < 30; step++) {
        const kind = random.below(6);
        if (kind === 0) uart.receive(text("ab"));
        else if (kind === 1) uart.setModem(random.below(16) << 4);
        else if (kind === 2) r(random.below(8));
        else w(random.below(5), random.below(256));
        // Reading these has no side effect while they are shown, so all may be compared in a row.
        for (const register of [IIR, LSR, MSR]) {
          const value = shown[register];
          if (value !== undefined) expect([round, step, register, r(register)]).toEqual([round, step, register, value]);
        }
      }
    }
  });

  it("takes IIR back while a byte under way to THR could change it", () => {
    const { w, r, shown, uart } = published();
    expect([shown[IIR], shown[LSR], shown[MSR]]).toEqual([1, 0x60, 0xb0]);
    w(IER, 2);
    expect(shown[IIR]).toBeUndefined();
    expect(r(IIR)).toBe(2);
    expect(shown[IIR]).toBeUndefined();
    w(IER, 0);
    expect(shown[IIR]).toBe(1);
    w(IER, 3);
    uart.receive(text("a"));
    expect(shown[IIR]).toBe(4);
  });

  it("shows nothing in loopback or when pacing, and no MSR that a read would change", () => {
    const { w, r, shown, uart } = published();
    uart.setModem(0);
    expect(shown[MSR]).toBeUndefined();
    r(MSR);
    expect(shown[MSR]).toBe(0);
    w(MCR, 0x10);
    expect([shown[IIR], shown[LSR], shown[MSR]]).toEqual([undefined, undefined, undefined]);
    expect(published({ pace: true }).shown.filter((v) => v !== undefined)).toEqual([]);
  });
});

describe("what Linux's autoconfig looks at", () => {
  it("finds a 16550A, not a 16650, 16750, NS16C or XScale", () => {
    const { r, w } = board();
    w(IER, 0);
    expect(r(IER) & 0x0f).toBe(0);
    w(IER, 0x0f);
    expect(r(IER) & 0x0f).toBe(0x0f);
    w(IER, 0);
    w(MCR, 0x1a);
    expect(r(MSR) & 0xf0).toBe(0x90);
    w(MCR, 0);
    w(LCR, 0xbf);
    w(FCR, 0);
    w(LCR, 0);
    w(FCR, 1);
    expect(r(IIR) >> 6).toBe(3);
    w(LCR, 0x80);
    expect(r(2)).not.toBe(0);
    w(LCR, 0xbf);
    expect(r(2)).not.toBe(0);
    w(LCR, 0xe0);
    expect((r(2) ^ r(MCR)) & 0x10).toBe(0);
    w(LCR, 0);
    w(FCR, 0x21);
    expect(r(IIR) & 0xe0).toBe(0xc0);
    w(IER, 0x40);
    expect(r(IER) & 0x40).toBe(0);
  });

  it("counts a FIFO of 16 in loopback and reports the overrun", () => {
    const { r, w, sent } = board();
    w(LCR, 3);
    w(FCR, 7);
    w(MCR, 0x10);
    for (let i = 0; i < 256; i++) w(THR, i);
    expect(r(LSR) & 0x03).toBe(0x03);
    expect(r(LSR) & 0x02).toBe(0);
    const read: number[] = [];
    while (r(LSR) & 1) read.push(r(RBR));
    expect(read).toEqual([...Array(16).keys()]);
    expect(sent).toEqual([]);
  });

  it("raises THRE whenever its enable goes from 0 to 1", () => {
    const { r, w, pin } = board();
    for (let i = 0; i < 3; i++) {
      w(IER, 2);
      expect(pin.level).toBe(true);
      expect(r(IIR)).toBe(2);
      expect(r(IIR)).toBe(1);
      expect(pin.level).toBe(false);
      w(IER, 2);
      expect(pin.level).toBe(false);
      w(IER, 0);
    }
  });
});

describe("transmitter", () => {
  it("sends at once and is always empty", () => {
    const { r, w, sent } = board();
    for (const byte of text("hello")) {
      w(THR, byte);
      expect(r(LSR)).toBe(0x60);
    }
    expect(sent).toEqual([...text("hello")]);
  });

  it("gives an edge for every byte, as an edge-triggered 8259 needs", () => {
    const { w, pin } = board();
    w(IER, 2);
    pin.clear();
    w(THR, 65);
    expect(pin.changes).toEqual([false, true]);
  });

  it("sends nothing while break is set", () => {
    const { w, sent } = board();
    w(LCR, 0x43);
    w(THR, 1);
    w(LCR, 0x03);
    w(THR, 2);
    expect(sent).toEqual([2]);
  });
});

describe("receiver", () => {
  it("takes one byte without FIFO and 16 with, and says when there is room", () => {
    let rooms = 0;
    const { uart, r, w } = board({ onRoom: () => rooms++ });
    expect(uart.receive(text("abc"))).toBe(1);
    expect(r(LSR) & 1).toBe(1);
    expect(r(RBR)).toBe(97);
    expect(rooms).toBe(1);
    w(FCR, 1);
    expect(uart.receive(new Uint8Array(20))).toBe(16);
    expect(uart.receive(text("x"))).toBe(0);
    for (let i = 0; i < 15; i++) r(RBR);
    expect(rooms).toBe(1);
    r(RBR);
    expect(rooms).toBe(2);
  });

  it("lets onRoom hand over the next bytes while the guest drains", () => {
    const queue = [...Array(100).keys()];
    const feed = () => {
      queue.splice(0, uart.receive(Uint8Array.from(queue)));
    };
    const { uart, r, w } = board({ onRoom: feed });
    w(FCR, 1);
    feed();
    const got: number[] = [];
    while (r(LSR) & 1) got.push(r(RBR));
    expect(got).toEqual([...Array(100).keys()]);
  });

  it("interrupts at the trigger level, and below it after four character times", () => {
    const { uart, r, w, pin, timers } = board();
    w(LCR, 3);
    w(FCR, 0x81);
    w(IER, 1);
    uart.receive(new Uint8Array(8));
    expect(r(IIR)).toBe(0xc4);
    r(RBR);
    expect([pin.level, r(IIR)]).toEqual([false, 0xc1]);
    timers.advance(4n * CHARACTER - 1n);
    expect(r(IIR)).toBe(0xc1);
    timers.advance(1n);
    expect([pin.level, r(IIR)]).toEqual([true, 0xcc]);
    r(RBR);
    expect([pin.level, r(IIR)]).toEqual([false, 0xc1]);
    timers.advance(4n * CHARACTER);
    expect(r(IIR)).toBe(0xcc);
  });

  it("restarts the timeout when a byte arrives, and has none without FIFO or without data", () => {
    const { uart, r, w, timers, pin } = board();
    w(LCR, 3);
    w(FCR, 0xc1);
    w(IER, 1);
    uart.receive(text("a"));
    timers.advance(3n * CHARACTER);
    uart.receive(text("b"));
    timers.advance(4n * CHARACTER - 1n);
    expect(pin.level).toBe(false);
    timers.advance(1n);
    expect(pin.level).toBe(true);
    r(RBR);
    r(RBR);
    expect(pin.level).toBe(false);
    timers.advance(100n * CHARACTER);
    expect(pin.level).toBe(false);
    w(FCR, 0);
    uart.receive(text("c"));
    expect(r(IIR)).toBe(4);
    w(IER, 0);
    timers.advance(100n * CHARACTER);
    w(IER, 1);
    expect(r(IIR)).toBe(4);
  });

  it("clears on FCR bit 1 and when bit 0 changes", () => {
    const { uart, r, w } = board();
    for (const clear of [3, 0]) {
      w(FCR, 1);
      uart.receive(text("zz"));
      expect(r(LSR) & 1).toBe(1);
      w(FCR, clear);
      expect(r(LSR) & 1).toBe(0);
    }
  });

  it("refuses bytes in loopback and asks for them after it", () => {
    let rooms = 0;
    const { uart, w } = board({ onRoom: () => rooms++ });
    w(MCR, 0x10);
    expect(uart.receive(text("a"))).toBe(0);
    w(MCR, 0);
    expect(rooms).toBe(1);
    expect(uart.receive(text("a"))).toBe(1);
  });

  it("shows a break with its own character, as a line status interrupt", () => {
    const { uart, r, w } = board();
    w(FCR, 0x01);
    w(IER, 5);
    uart.receive(text("a"));
    expect(uart.receiveBreak()).toBe(true);
    expect(r(IIR)).toBe(0xc4);
    expect(r(LSR) & 0x9e).toBe(0x80);
    r(RBR);
    expect(r(IIR)).toBe(0xc6);
    expect(r(LSR) & 0x9e).toBe(0x98);
    expect(r(LSR) & 0x9e).toBe(0);
    expect(r(RBR)).toBe(0);
  });

  it("overwrites the byte in 16450 mode and keeps the FIFO in FIFO mode", () => {
    const { r, w } = board();
    w(MCR, 0x10);
    w(THR, 1);
    w(THR, 2);
    expect(r(LSR) & 3).toBe(3);
    expect(r(RBR)).toBe(2);
  });
});

describe("interrupt priority", () => {
  it("is line status, data, THRE, modem; THRE survives being hidden", () => {
    const { uart, r, w, pin } = board();
    w(IER, 0x0f);
    uart.setModem(0);
    uart.receive(text("q"));
    w(MCR, 0x10);
    w(THR, 1);
    expect(r(IIR)).toBe(6);
    r(LSR);
    expect(r(IIR)).toBe(4);
    r(RBR);
    expect(r(IIR)).toBe(2);
    expect(r(IIR)).toBe(0);
    r(MSR);
    expect(r(IIR)).toBe(1);
    expect(pin.level).toBe(false);
  });
});

describe("modem lines", () => {
  it("marks changes once, RI only at its end", () => {
    const { uart, r } = board();
    expect(r(MSR)).toBe(0xb0);
    uart.setModem(0xf0);
    expect(r(MSR)).toBe(0xf0);
    uart.setModem(0);
    expect(r(MSR)).toBe(0x0f);
    expect(r(MSR)).toBe(0);
  });

  it("loops MCR back to MSR", () => {
    const { r, w } = board();
    for (let bits = 0; bits < 16; bits++) {
      w(MCR, 0x10 | bits);
      const [dtr, rts, out1, out2] = [bits & 1, (bits >> 1) & 1, (bits >> 2) & 1, bits >> 3];
      expect(r(MSR) & 0xf0).toBe((rts << 4) | (dtr << 5) | (out1 << 6) | (out2 << 7));
    }
  });
});

describe("paced", () => {
  it("transmits at the baud rate", () => {
    const { r, w, sent, timers, pin } = board({ pace: true });
    w(LCR, 3);
    w(FCR, 1);
    w(IER, 2);
    r(IIR);
    w(THR, 65);
    expect(r(LSR) & 0x60).toBe(0x20);
    w(THR, 66);
    expect(r(LSR) & 0x60).toBe(0);
    r(IIR);
    expect(sent).toEqual([]);
    timers.advance(CHARACTER);
    expect(sent).toEqual([65]);
    expect([pin.level, r(LSR) & 0x60]).toEqual([true, 0x20]);
    timers.advance(CHARACTER - 1n);
    expect(sent).toEqual([65]);
    timers.advance(1n);
    expect(sent).toEqual([65, 66]);
    expect(r(LSR) & 0x60).toBe(0x60);
  });

  it("receives at the baud rate and waits for room", () => {
    const { uart, r, w, timers } = board({ pace: true });
    w(LCR, 3);
    expect(uart.receive(text("abcd"))).toBe(1);
    w(FCR, 1);
    expect(uart.receive(text("bc"))).toBe(2);
    expect(r(LSR) & 1).toBe(0);
    timers.advance(CHARACTER);
    expect(r(RBR)).toBe(97);
    expect(r(LSR) & 1).toBe(0);
    timers.advance(2n * CHARACTER);
    expect([r(RBR), r(RBR)]).toEqual([98, 99]);
    uart.receive(new Uint8Array(16).fill(1));
    timers.advance(100n * CHARACTER);
    uart.receive(new Uint8Array(4).fill(2));
    timers.advance(100n * CHARACTER);
    expect(r(LSR) & 2).toBe(0);
    for (let i = 0; i < 16; i++) expect(r(RBR)).toBe(1);
    timers.advance(4n * CHARACTER);
    for (let i = 0; i < 4; i++) expect(r(RBR)).toBe(2);
  });
});

describe("saved state", () => {
  const scramble = (random: Random, b: ReturnType<typeof board>) => {
    for (let i = 0; i < 60; i++) {
      const kind = random.below(8);
      if (kind === 0) b.uart.receive(Uint8Array.from([random.below(256), random.below(256), 7]));
      else if (kind === 1) b.uart.setModem(random.below(256));
      else if (kind === 2) b.uart.receiveBreak();
      else if (kind === 3) b.timers.advance(BigInt(random.below(5_000_000)));
      else if (kind === 4) b.r(random.below(8));
      else b.w(random.below(8), random.below(256));
    }
  };

  it("is restored exactly, and behaves the same afterwards", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Random(seed);
      const pace = random.coin();
      const a = board({ pace });
      scramble(random, a);
      const saved = a.uart.export();
      const b = board({ pace });
      b.timers.advance(123_456n);
      scramble(random, b);
      expect(b.uart.export()).not.toEqual(saved);
      b.uart.import(structuredClone(saved));
      expect(b.uart.export()).toEqual(saved);
      expect(b.pin.level).toBe(a.pin.level);
      a.sent.length = b.sent.length = 0;
      const tail = random.next();
      scramble(new Random(tail), a);
      scramble(new Random(tail), b);
      expect(b.sent).toEqual(a.sent);
      expect(b.uart.export()).toEqual(a.uart.export());
    }
  });

  it("refuses what it cannot be and changes nothing", () => {
    const { uart, w } = board();
    w(SCR, 9);
    const good = uart.export();
    const bad: [string, unknown][] = [
      ["version", 2],
      ["ier", 16],
      ["rx", [1, 2]],
      ["rx", ["a"]],
      ["shifting", 5],
      ["timeoutIn", -1n],
      ["starved", 1],
    ];
    for (const [field, value] of bad) {
      expect(() => uart.import({ ...good, scr: 1, [field]: value } as never), field).toThrow(SnapshotError);
      expect(uart.export()).toEqual(good);
    }
  });
});
