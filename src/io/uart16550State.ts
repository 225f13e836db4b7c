/** Saved state of the 16550 UART, and the check it passes before a chip takes it. */

import { SnapshotFields } from "./snapshotFields.ts";
import { FCR_CLEAR_RX, FCR_CLEAR_TX, FCR_ENABLE, FIFO_SIZE, IER_MASK, LSR_ERRORS, MCR_MASK } from "./uart16550Regs.ts";

/** Saved state. Times are nanoseconds from the moment of saving; undefined means not armed. */
export interface Uart16550V1 {
  version: 1;
  ier: number;
  fcr: number;
  lcr: number;
  mcr: number;
  scr: number;
  divisor: number;
  /** LSR error bits that wait to be read. */
  errors: number;
  /** Modem inputs (MSR 7:4) from outside, and the MSR 3:0 change bits. */
  modem: number;
  deltas: number;
  thrPending: boolean;
  timeoutPending: boolean;
  starved: boolean;
  /** Receiver FIFO: byte in 7:0, its LSR error bits << 8. */
  rx: number[];
  /** Transmitter FIFO, the character being shifted out (-1: none), bytes on the way in: only when paced. */
  tx: number[];
  shifting: number;
  line: number[];
  txIn: bigint | undefined;
  lineIn: bigint | undefined;
  timeoutIn: bigint | undefined;
}

/** Longest time a saved deadline may lie ahead, ns: four characters of 12 bits at the slowest rate, and some. */
const LONGEST = 60_000_000_000n;

/** Returns a checked copy; throws SnapshotError when the state cannot be this chip's. */
export function checkUart16550(name: string, state: Uart16550V1): Uart16550V1 {
  const from = new SnapshotFields(name, state).version(1);
  const time = (field: "txIn" | "lineIn" | "timeoutIn") =>
    state[field] === undefined ? undefined : from.bigint(field, 0n, LONGEST);
  const next: Uart16550V1 = {
    version: 1,
    ier: from.int("ier", 0, IER_MASK),
    fcr: from.u8("fcr") & ~(FCR_CLEAR_RX | FCR_CLEAR_TX),
    lcr: from.u8("lcr"),
    mcr: from.int("mcr", 0, MCR_MASK),
    scr: from.u8("scr"),
    divisor: from.int("divisor", 0, 0xffff),
    errors: from.u8("errors") & LSR_ERRORS,
    modem: from.u8("modem") & 0xf0,
    deltas: from.int("deltas", 0, 0x0f),
    thrPending: from.bool("thrPending"),
    timeoutPending: from.bool("timeoutPending"),
    starved: from.bool("starved"),
    rx: from.ints("rx", FIFO_SIZE, 0, 0x1fff),
    tx: from.ints("tx", FIFO_SIZE, 0, 0xff),
    shifting: from.int("shifting", -1, 0xff),
    line: from.ints("line", FIFO_SIZE, 0, 0xff),
    txIn: time("txIn"),
    lineIn: time("lineIn"),
    timeoutIn: time("timeoutIn"),
  };
  const depth = next.fcr & FCR_ENABLE ? FIFO_SIZE : 1;
  if (next.rx.length > depth) from.fail("rx", `${next.rx.length} bytes without FIFO`);
  if (next.tx.length > depth) from.fail("tx", `${next.tx.length} bytes without FIFO`);
  if ((next.txIn === undefined) !== next.shifting < 0) from.fail("txIn", "does not go with `shifting`");
  if (next.lineIn !== undefined && next.line.length === 0) from.fail("lineIn", "set while `line` is empty");
  return next;
}
