import { describe, expect, it } from "vitest";
import { I8042 } from "../../src/io/i8042.ts";
import { Ps2Keyboard } from "../../src/io/ps2Keyboard.ts";
import { Ps2Mouse } from "../../src/io/ps2Mouse.ts";
import { KEY_CODES, scanCodes, strokes, TRANSLATE } from "../../src/io/scanCodes.ts";
import { Typist } from "../../src/io/typist.ts";
import { FakePin, FakeTimers, MILLISECOND } from "./fakes.ts";

const translated = (bytes: readonly number[]): number[] => {
  const out: number[] = [];
  let broken = 0;
  for (const byte of bytes) {
    if (byte === 0xf0) broken = 0x80;
    else {
      out.push(TRANSLATE[byte] | broken);
      broken = 0;
    }
  }
  return out;
};

function drain(device: { next(): number | undefined }): number[] {
  const out: number[] = [];
  for (let byte = device.next(); byte !== undefined; byte = device.next()) out.push(byte);
  return out;
}

describe("scan codes", () => {
  it("of set 2 become those of set 1 by the 8042's table, for every key", () => {
    for (const code of KEY_CODES) {
      for (const pressed of [true, false]) {
        expect(translated(scanCodes(code, pressed, 2)), code).toEqual(scanCodes(code, pressed, 1));
      }
    }
  });

  it("type what a US keyboard has", () => {
    const typed = (text: string) =>
      strokes(text).map(({ code, shift, control }) => `${control ? "^" : ""}${shift ? "+" : ""}${code}`);
    expect(typed("aA1!\n\t ~\\|")).toEqual([
      "KeyA",
      "+KeyA",
      "Digit1",
      "+Digit1",
      "Enter",
      "Tab",
      "Space",
      "+Backquote",
      "Backslash",
      "+Backslash",
    ]);
    expect(typed("\x03ä")).toEqual(["^KeyC"]);
    expect(typed("\x1b\b")).toEqual(["Escape", "Backspace"]);
    expect(typed("\r\n\r")).toEqual(["Enter", "Enter"]);
  });
});

describe("ps2Keyboard", () => {
  it("answers its commands", () => {
    const keyboard = new Ps2Keyboard();
    const ask = (...bytes: number[]) => {
      for (const byte of bytes) keyboard.receive(byte);
      return drain(keyboard);
    };
    expect(ask(0xff)).toEqual([0xfa, 0xaa]);
    expect(ask(0xf2)).toEqual([0xfa, 0xab, 0x83]);
    expect(ask(0xee)).toEqual([0xee]);
    expect(ask(0xed, 0x05)).toEqual([0xfa, 0xfa]);
    expect(keyboard.leds).toBe(5);
    expect(ask(0xf0, 0)).toEqual([0xfa, 0xfa, 2]);
    expect(ask(0xf0, 1)).toEqual([0xfa, 0xfa]);
    expect(keyboard.key("KeyA", true)).toBe(true);
    expect(drain(keyboard)).toEqual([0x1e]);
    // A set that it does not have is a byte to be sent again; the set stays, and the next byte is a command.
    for (const set of [3, 4, 0xec]) expect(ask(0xf0, set)).toEqual([0xfa, 0xfe]);
    expect(ask(0xf0, 0)).toEqual([0xfa, 0xfa, 1]);
    expect(ask(0x01)).toEqual([0xfe]);
    expect(ask(0xfe)).toEqual([0xfe]);
  });

  it("sends make and break codes while it is enabled, and says when it has lost some", () => {
    const keyboard = new Ps2Keyboard();
    keyboard.key("KeyA", true);
    keyboard.key("KeyA", false);
    keyboard.key("KeyA", false);
    expect(drain(keyboard)).toEqual([0x1c, 0xf0, 0x1c]);
    keyboard.receive(0xf5);
    drain(keyboard);
    keyboard.key("KeyB", true);
    expect(drain(keyboard)).toEqual([]);
    keyboard.receive(0xf4);
    drain(keyboard);
    for (let i = 0; i < 20; i++) keyboard.key("KeyB", true);
    const all = drain(keyboard);
    expect(all).toHaveLength(17);
    expect(all.at(-1)).toBe(0);
    expect(keyboard.key("Power", true)).toBe(false);
  });
});

describe("ps2Mouse", () => {
  it("tells movement and buttons, and gets a wheel by the sequence of rates", () => {
    const mouse = new Ps2Mouse();
    mouse.receive(0xf4);
    expect(drain(mouse)).toEqual([0xfa]);
    mouse.move(5, 3, 0, 1);
    expect(drain(mouse)).toEqual([0x29, 5, 0xfd]);
    mouse.move(-300, 0, 0, 0);
    expect(drain(mouse)).toEqual([0x18, 0x01, 0, 0x18, 0xd3, 0]);
    for (const rate of [200, 100, 80]) {
      mouse.receive(0xf3);
      mouse.receive(rate);
    }
    drain(mouse);
    mouse.receive(0xf2);
    expect(drain(mouse)).toEqual([0xfa, 3]);
    mouse.move(0, 0, -1, 0);
    expect(drain(mouse)).toEqual([0x08, 0, 0, 0xff]);
  });
});

describe("typist", () => {
  it("types through a translating controller, a key after the other has been taken", () => {
    const timers = new FakeTimers();
    const irq1 = new FakePin();
    const i8042 = new I8042({ irq1, irq12: new FakePin(), onReset: () => {} });
    const keyboard = new Ps2Keyboard();
    keyboard.onData = i8042.attach("keyboard", keyboard);
    const typist = new Typist(keyboard, timers);
    const port = (base: number) => i8042.handlers.find((h) => h.base === base)?.handler;
    port(0x64)?.write(0, 1, 0x60);
    port(0x60)?.write(0, 1, 0x45);
    typist.type("A\n");
    const got: number[] = [];
    timers.advance(10n * MILLISECOND);
    expect(irq1.level).toBe(true);
    timers.advance(50n * MILLISECOND);
    for (let i = 0; i < 200 && got.length < 6; i++) {
      if ((port(0x64)?.read(0, 1) ?? 0) & 1) got.push(port(0x60)?.read(0, 1) ?? -1);
      else timers.advance(10n * MILLISECOND);
    }
    expect(got).toEqual([0x2a, 0x1e, 0x9e, 0xaa, 0x1c, 0x9c]);
  });
});
