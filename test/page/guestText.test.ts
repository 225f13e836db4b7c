/** What is waited for in a guest's output; messages and origins of frames. */
import { describe, expect, it } from "vitest";
import { fromFrame, originsOf, toFrame } from "../../src/ui/embed/frameMessages.ts";
import { GuestText } from "../../src/ui/embed/guestText.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const SOON = 20;
const LATE = 60_000;

describe("a guest's text", () => {
  it("is found once: what was matched is gone, and waits are served in their order", async () => {
    const text = new GuestText();
    text.serial(bytes("boot\r\n/ # "));
    expect(await text.wait("# ", LATE)).toBe("boot\n/ # ");
    const ls = text.wait(/^c$/m, LATE);
    const prompt = text.wait("# ", LATE);
    text.serial(bytes("ls\r\na b\r\nc\r\n/ # "));
    expect(await ls).toBe("ls\na b\nc");
    expect(await prompt).toBe("\n/ # ");
    await expect(text.wait("# ", SOON)).rejects.toThrow("/# / did not come within 0.02 s; the last line is “”");
  });

  it("has no escape sequences in it, wherever the bytes are cut", async () => {
    const all = bytes("\x1b[1;32mgr\x1b[0mün\x1b]0;title\x07 \x1b(Bx\x1b[6n\x1b]2;t\x1b\\!\x1b=");
    for (let at = 0; at <= all.length; at++) {
      const text = new GuestText();
      text.serial(all.slice(0, at));
      text.serial(all.slice(at));
      expect(await text.wait("!", LATE)).toBe("grün x!");
    }
  });

  it("may be a text that means something in a regular expression, or one that remembers where it was", async () => {
    const text = new GuestText();
    text.serial(bytes("a.b (c) [d] $1 /etc aXb"));
    expect(await text.wait("(c) [d] $1 /etc", LATE)).toBe("a.b (c) [d] $1 /etc");
    const pattern = /b/g;
    pattern.lastIndex = 3;
    expect(await text.wait(pattern, LATE)).toBe(" aXb");
  });

  it("is looked for in new lines of a text screen, too", async () => {
    const text = new GuestText();
    text.screen(["A:\\>", "", ""]);
    expect(await text.wait("A:\\>", LATE)).toContain("A:\\>");
    const again = text.wait("A:\\>", LATE);
    text.screen(["A:\\>", "one file", ""]);
    text.screen(["A:\\>", "one file", "A:\\> "]);
    expect(await again).toBe("one file\nA:\\> ");
    text.screen(undefined);
    await expect(text.wait("A", SOON)).rejects.toThrow("did not come");
  });

  it("does not come any more when the machine is off, and begins anew with another one", async () => {
    const text = new GuestText();
    const wait = text.wait("x", LATE);
    text.end("The guest powered off.");
    await expect(wait).rejects.toThrow("The guest powered off. /x/ did not come.");
    await expect(text.wait("x", LATE)).rejects.toThrow("The guest powered off. /x/ did not come.");
    text.serial(bytes("x"));
    expect(await text.wait("x", LATE)).toBe("x");
    text.serial(bytes("x"));
    text.clear();
    await expect(text.wait("x", SOON)).rejects.toThrow("did not come within");
  });
});

describe("messages of a frame", () => {
  it("are commands that are listed, and nothing else", () => {
    expect(toFrame({ tabhyve: "hello", more: 1 })).toEqual({ tabhyve: "hello" });
    const call = { tabhyve: "call", id: 1, command: "pause", args: [] };
    expect(toFrame(call)).toEqual(call);
    for (const command of ["constructor", "state", "session", "__proto__", 1, null, undefined, ["pause"]]) {
      expect(toFrame({ ...call, command })).toBeUndefined();
    }
    for (const other of [undefined, null, 1, "hello", [], {}, { ...call, id: "1" }, { ...call, args: {} }]) {
      expect(toFrame(other)).toBeUndefined();
    }
    for (const other of [null, "ready", {}, { tabhyve: "answer" }, { tabhyve: "event", name: "message" }]) {
      expect(fromFrame(other)).toBeUndefined();
    }
  });

  it("come from origins that are written as such", () => {
    const good = ["https://a.example", "http://127.0.0.1:8000"];
    const bad = [
      "*",
      "null",
      "",
      "https://a.example/",
      "https://a.example/x",
      "a.example",
      "file://",
      "data:",
      "blob:https://a.example",
    ];
    expect(originsOf([...bad, ...good])).toEqual(good);
  });
});
