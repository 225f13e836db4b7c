/**
 * The keys of a PS/2 keyboard by KeyboardEvent.code (W3C UI Events), with their scan codes (IBM PS/2 Hardware Interface
 * Technical Reference, "Keyboard"; Microsoft "Keyboard Scan Code Specification").
 *
 *     set 1   make, break = make | 0x80            set 2   make, break = F0 make
 *     both    E0 before either for keys that the first PCs did not have
 */

/** Set 1 of the keys whose code is one byte in both sets, then set 2. */
const PLAIN: Readonly<Record<string, readonly [set1: number, set2: number]>> = {
  Escape: [0x01, 0x76],
  Digit1: [0x02, 0x16],
  Digit2: [0x03, 0x1e],
  Digit3: [0x04, 0x26],
  Digit4: [0x05, 0x25],
  Digit5: [0x06, 0x2e],
  Digit6: [0x07, 0x36],
  Digit7: [0x08, 0x3d],
  Digit8: [0x09, 0x3e],
  Digit9: [0x0a, 0x46],
  Digit0: [0x0b, 0x45],
  Minus: [0x0c, 0x4e],
  Equal: [0x0d, 0x55],
  Backspace: [0x0e, 0x66],
  Tab: [0x0f, 0x0d],
  KeyQ: [0x10, 0x15],
  KeyW: [0x11, 0x1d],
  KeyE: [0x12, 0x24],
  KeyR: [0x13, 0x2d],
  KeyT: [0x14, 0x2c],
  KeyY: [0x15, 0x35],
  KeyU: [0x16, 0x3c],
  KeyI: [0x17, 0x43],
  KeyO: [0x18, 0x44],
  KeyP: [0x19, 0x4d],
  BracketLeft: [0x1a, 0x54],
  BracketRight: [0x1b, 0x5b],
  Enter: [0x1c, 0x5a],
  ControlLeft: [0x1d, 0x14],
  KeyA: [0x1e, 0x1c],
  KeyS: [0x1f, 0x1b],
  KeyD: [0x20, 0x23],
  KeyF: [0x21, 0x2b],
  KeyG: [0x22, 0x34],
  KeyH: [0x23, 0x33],
  KeyJ: [0x24, 0x3b],
  KeyK: [0x25, 0x42],
  KeyL: [0x26, 0x4b],
  Semicolon: [0x27, 0x4c],
  Quote: [0x28, 0x52],
  Backquote: [0x29, 0x0e],
  ShiftLeft: [0x2a, 0x12],
  Backslash: [0x2b, 0x5d],
  KeyZ: [0x2c, 0x1a],
  KeyX: [0x2d, 0x22],
  KeyC: [0x2e, 0x21],
  KeyV: [0x2f, 0x2a],
  KeyB: [0x30, 0x32],
  KeyN: [0x31, 0x31],
  KeyM: [0x32, 0x3a],
  Comma: [0x33, 0x41],
  Period: [0x34, 0x49],
  Slash: [0x35, 0x4a],
  ShiftRight: [0x36, 0x59],
  NumpadMultiply: [0x37, 0x7c],
  AltLeft: [0x38, 0x11],
  Space: [0x39, 0x29],
  CapsLock: [0x3a, 0x58],
  F1: [0x3b, 0x05],
  F2: [0x3c, 0x06],
  F3: [0x3d, 0x04],
  F4: [0x3e, 0x0c],
  F5: [0x3f, 0x03],
  F6: [0x40, 0x0b],
  F7: [0x41, 0x83],
  F8: [0x42, 0x0a],
  F9: [0x43, 0x01],
  F10: [0x44, 0x09],
  NumLock: [0x45, 0x77],
  ScrollLock: [0x46, 0x7e],
  Numpad7: [0x47, 0x6c],
  Numpad8: [0x48, 0x75],
  Numpad9: [0x49, 0x7d],
  NumpadSubtract: [0x4a, 0x7b],
  Numpad4: [0x4b, 0x6b],
  Numpad5: [0x4c, 0x73],
  Numpad6: [0x4d, 0x74],
  NumpadAdd: [0x4e, 0x79],
  Numpad1: [0x4f, 0x69],
  Numpad2: [0x50, 0x72],
  Numpad3: [0x51, 0x7a],
  Numpad0: [0x52, 0x70],
  NumpadDecimal: [0x53, 0x71],
  IntlBackslash: [0x56, 0x61],
  F11: [0x57, 0x78],
  F12: [0x58, 0x07],
  KanaMode: [0x70, 0x13],
  IntlRo: [0x73, 0x51],
  Convert: [0x79, 0x64],
  NonConvert: [0x7b, 0x67],
  IntlYen: [0x7d, 0x6a],
};

/** The same with E0 before them. */
const EXTENDED: Readonly<Record<string, readonly [set1: number, set2: number]>> = {
  NumpadEnter: [0x1c, 0x5a],
  ControlRight: [0x1d, 0x14],
  NumpadDivide: [0x35, 0x4a],
  AltRight: [0x38, 0x11],
  Home: [0x47, 0x6c],
  ArrowUp: [0x48, 0x75],
  PageUp: [0x49, 0x7d],
  ArrowLeft: [0x4b, 0x6b],
  ArrowRight: [0x4d, 0x74],
  End: [0x4f, 0x69],
  ArrowDown: [0x50, 0x72],
  PageDown: [0x51, 0x7a],
  Insert: [0x52, 0x70],
  Delete: [0x53, 0x71],
  MetaLeft: [0x5b, 0x1f],
  MetaRight: [0x5c, 0x27],
  ContextMenu: [0x5d, 0x2f],
};

/** Pause has no break: pressing it sends all of this. PrintScreen looks like two keys. */
const PAUSE = { 1: [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5], 2: [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77] } as const;
const PRINT = {
  1: { make: [0xe0, 0x2a, 0xe0, 0x37], break: [0xe0, 0xb7, 0xe0, 0xaa] },
  2: { make: [0xe0, 0x12, 0xe0, 0x7c], break: [0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12] },
} as const;

export type ScanSet = 1 | 2;

/** Every code that the keyboard has. */
export const KEY_CODES: readonly string[] = [...Object.keys(PLAIN), ...Object.keys(EXTENDED), "Pause", "PrintScreen"];

/** The bytes for a key that is pressed or let go; none for a key that is not there. */
export function scanCodes(code: string, pressed: boolean, set: ScanSet): readonly number[] {
  if (code === "Pause") return pressed ? PAUSE[set] : [];
  if (code === "PrintScreen") return PRINT[set][pressed ? "make" : "break"];
  const key = PLAIN[code] ?? EXTENDED[code];
  if (!key) return [];
  const prefix = code in PLAIN ? [] : [0xe0];
  if (set === 1) return [...prefix, pressed ? key[0] : key[0] | 0x80];
  return pressed ? [...prefix, key[1]] : [...prefix, 0xf0, key[1]];
}

/** The table of the 8042's ROM from 0x00 to 0x7f: what a code of set 2 becomes. */
const ROM_TABLE =
  "ff43413f3d3b3c58" +
  "644442403e0f2959" +
  "65382a701d10025a" +
  "66712c1f1e11035b" +
  "672e2d201205045c" +
  "68392f211413065d" +
  "693130232215075e" +
  "6a7232241608095f" +
  "6b332517180b0a60" +
  "6c34352627190c61" +
  "6d7328741a0d626e" +
  "3a361c1b752b6376" +
  "55567778797a0e7b" +
  "7c4f7d4b477e7f6f" +
  "5253504c4d480145" +
  "574e514a37494654";

/** Set 2 to set 1, as an 8042 translates: besides its table, the codes of F7 and of Alt+PrintScreen; the rest stays. */
export const TRANSLATE: readonly number[] = Array.from({ length: 256 }, (_, code) => {
  if (code < 0x80) return Number.parseInt(ROM_TABLE.slice(2 * code, 2 * code + 2), 16);
  return code === 0x83 ? 0x41 : code === 0x84 ? 0x54 : code;
});

/** Unshifted and shifted characters of a US keyboard, by key. */
const US: Readonly<Record<string, string>> = {
  Backquote: "`~",
  Digit1: "1!",
  Digit2: "2@",
  Digit3: "3#",
  Digit4: "4$",
  Digit5: "5%",
  Digit6: "6^",
  Digit7: "7&",
  Digit8: "8*",
  Digit9: "9(",
  Digit0: "0)",
  Minus: "-_",
  Equal: "=+",
  BracketLeft: "[{",
  BracketRight: "]}",
  Backslash: "\\|",
  Semicolon: ";:",
  Quote: "'\"",
  Comma: ",<",
  Period: ".>",
  Slash: "/?",
  Space: "  ",
  Enter: "\n\r",
  Tab: "\t\t",
  Backspace: "\b\x7f",
  Escape: "\x1b\x1b",
};

export interface KeyStroke {
  readonly code: string;
  readonly shift: boolean;
  readonly control: boolean;
}

/** The strokes that type a text on a US keyboard. Control characters are letters with Ctrl; what has no key is left out. */
export function strokes(text: string): KeyStroke[] {
  const out: KeyStroke[] = [];
  for (const letter of text.replaceAll("\r\n", "\n")) {
    const key = Object.entries(US).find(([, both]) => both.includes(letter));
    if (key)
      out.push({
        code: key[0],
        shift: key[1][0] !== letter && key[1][1] === letter && letter > " " && letter < "\x7f",
        control: false,
      });
    else if (/[a-z]/i.test(letter) && letter.length === 1) {
      out.push({ code: `Key${letter.toUpperCase()}`, shift: letter < "a", control: false });
    } else if (letter < " ") {
      out.push({ code: `Key${String.fromCharCode(letter.charCodeAt(0) + 64)}`, shift: false, control: true });
    }
  }
  return out;
}
