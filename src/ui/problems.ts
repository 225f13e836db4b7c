import { DownloadError } from "./download.ts";
import { ManifestError } from "./guests.ts";
import { LinkError } from "./link/bootLink.ts";
import type { MachineError, StopDetail } from "./machineHandle.ts";

/** An error as a person meets it: what happened, why, what to do, and buttons that do it. */
export interface Problem {
  /** For tests and for styling; never shown. */
  kind:
    | "network"
    | "hash"
    | "bad-image"
    | "bad-file"
    | "disk"
    | "snapshot"
    | "medium"
    | "memory"
    | "isolation"
    | "triple-fault"
    | "engine"
    | "manifest"
    | "link";
  title: string;
  cause: string;
  remedy: string;
  /** Registers or facts, in order. */
  where?: Record<string, string>;
  actions: ProblemAction[];
}

/** What a button on the problem panel does. The page maps these to its own methods. */
export type ProblemAction = "retry" | "reset" | "smaller" | "settings" | "inline" | "files" | "reload" | "inspect";

/** Turns whatever stopped a start into a Problem. Unknown errors become "engine" with their message. */
export function problemOf(error: unknown): Problem {
  if (error instanceof DownloadError) {
    return error.kind === "hash"
      ? {
          kind: "hash",
          title: "A guest file is not what it should be",
          cause: error.message,
          remedy:
            "The file was damaged on its way, or the site was updated half-way. Fetch it again (past all caches), " +
            "or prepare the guests again with “npm run guests”.",
          actions: ["retry"],
        }
      : problemOfNetwork(error.message);
  }
  if (error instanceof LinkError) return problemOfLink(error.message);
  if (error instanceof ManifestError) return problemOfManifest(error.message);
  const { code, message, remedy } = asMachineError(error);
  switch (code) {
    case "network":
      return problemOfNetwork(message);
    case "bad-image":
      return {
        kind: "bad-image",
        title: "This image cannot be booted",
        cause: message,
        remedy: remedy ?? "Choose a bzImage, an ELF with a PVH note or a Multiboot image for x86.",
        actions: ["files", "settings"],
      };
    case "disk":
      return {
        kind: "disk",
        title: "What is kept of this disk cannot be used",
        cause: message,
        remedy: remedy ?? "Forget what is kept of it in the settings.",
        actions: ["retry", "settings"],
      };
    case "snapshot":
      return {
        kind: "snapshot",
        title: "This saved machine cannot go on here",
        cause: message,
        remedy: remedy ?? "It stays as it is; another version of this page may be able to read it.",
        actions: [],
      };
    case "medium":
      return {
        kind: "medium",
        title: "This medium cannot be read",
        cause: message,
        remedy:
          remedy ??
          "Check its address in the settings. The server must send parts of files (Range), and let other sites read them (CORS).",
        actions: ["settings", "retry"],
      };
    case "out-of-memory":
      return {
        kind: "memory",
        title: "Not enough memory for this machine",
        cause: message,
        remedy: remedy ?? "Start a smaller machine, or close other tabs and try again.",
        actions: ["smaller", "retry", "settings"],
      };
    case "no-shared-memory":
      return {
        kind: "isolation",
        title: "The threaded transport is not available here",
        cause: `${message} ${isolationCause()}`,
        remedy: remedy ?? "Start with the inline transport: the whole machine in one worker.",
        actions: ["inline", "reload"],
      };
    default:
      return {
        kind: "engine",
        title: "The engine stopped",
        cause: message,
        remedy: remedy ?? "Try again. If it happens twice, it is our bug: please report it with the text above.",
        actions: ["retry"],
      };
  }
}

const problemOfNetwork = (cause: string): Problem => ({
  kind: "network",
  title: "A guest file could not be fetched",
  cause,
  remedy: "Check the connection, then try again. What was fetched before is not fetched twice.",
  actions: ["retry"],
});

/** A machine that was running and cannot go on. */
export function problemOfStop(stop: StopDetail): Problem {
  const triple = stop.reason === "triple-fault";
  return {
    kind: triple ? "triple-fault" : "engine",
    title: triple ? "The guest crashed: triple fault" : "The engine stopped",
    cause: stop.what,
    remedy:
      stop.remedy ??
      (triple
        ? "The guest has no working exception handler at this point. Look at the address below, then reset."
        : "Reset the machine. If it happens twice, it is our bug: please report it with the text above."),
    ...(stop.where ? { where: stop.where } : {}),
    actions: triple ? ["reset", "inspect"] : ["reset"],
  };
}

/** Files were dropped that cannot be a kernel or an initrd. */
export function problemOfFile(name: string, what: string): Problem {
  return {
    kind: "bad-file",
    title: "This file is neither a kernel nor an initrd",
    cause: `“${name}” is ${what}.`,
    remedy:
      "Bring a kernel (Linux bzImage, x86 ELF or Multiboot image) and, if it needs one, an initrd " +
      "(cpio, plain or packed with gzip, xz, zstd, lz4, lzma or bzip2).",
    actions: ["files"],
  };
}

export function problemOfLink(message: string): Problem {
  return {
    kind: "link",
    title: "This link cannot be followed",
    cause: message,
    remedy: "Ask whoever sent it for a new one. Nothing of it was fetched or started.",
    actions: [],
  };
}

/** @param message a line for each thing that is wrong */
export function problemOfLesson(message: string): Problem {
  return {
    kind: "link",
    title: "This lesson cannot be opened",
    cause: message,
    remedy: "Whoever made it can mend it: docs/lessons.md says what a lesson is made of.",
    actions: [],
  };
}

export function problemOfManifest(message: string): Problem {
  return {
    kind: "manifest",
    title: "The list of guests cannot be read",
    cause: message,
    remedy: "Prepare the guests again with “npm run guests”. The embedded guest and your own files still work.",
    actions: ["reload"],
  };
}

/** Why `crossOriginIsolated` is false, as far as a page can tell. */
export function isolationCause(): string {
  if (!globalThis.isSecureContext) return "The page was not opened over https or from localhost.";
  if (globalThis.top !== globalThis.self) return "The page is embedded in another site that does not isolate it.";
  return "The server sends no isolation headers (COOP and COEP), and the page's service worker could not add them.";
}

function asMachineError(error: unknown): Pick<MachineError, "code" | "message" | "remedy"> {
  const e = error as Partial<MachineError> | null;
  const message = typeof e?.message === "string" && e.message ? e.message : String(error);
  // RangeError is what WebAssembly.Memory and typed arrays throw when the host has no room.
  const code = e?.code ?? (error instanceof RangeError ? "out-of-memory" : "engine");
  return { code, message, remedy: e?.remedy };
}

/** A medium was brought, and there is no firmware that could boot it. */
export function problemOfMissingFirmware(): Problem {
  return {
    kind: "bad-file",
    title: "A disk needs firmware to boot it",
    cause: "Firmware is not part of this page, and nobody has put it beside it.",
    remedy:
      "Add SeaBIOS: bios-256k.bin and vgabios-stdvga.bin of Debian's package seabios, or run “npm run guests -- pc” where " +
      "this page comes from.",
    actions: ["files"],
  };
}
