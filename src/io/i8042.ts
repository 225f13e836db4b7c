/**
 * The 8042 keyboard controller of a PS/2-style PC, with a port for a keyboard and one for a mouse.
 * (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".)
 *
 *     0x60   data                       0x64   read: status, write: command
 *
 *     status   | PERR TO AUXB INH | CMD SYS IBF OBF |   AUXB: the byte is the mouse's; CMD: last write was to 0x64
 *     config   |  0 XLAT AUXDIS KBDDIS | 0 SYS AUXINT KBDINT |      RAM byte 0, commands 0x20 and 0x60
 *     output   | KDATA KCLK IRQ12 IRQ1 | . . A20 /RESET |           commands 0xd0 and 0xd1
 *
 * Devices are attached with `attach`; a port without one answers as a line on which nobody clocks: the byte 0xfe
 * (resend) with TO set, at once instead of after 20 ms.
 *
 * With XLAT, what the keyboard sends is translated from set 2 to set 1: a break's F0 becomes bit 7 of the byte after it.
 *
 * What it does not do: passwords, parity errors, time: a byte is taken as soon as it is written, so IBF reads 0.
 */

import type { Device, InterruptPin, Log } from "../shared/device.ts";
import { noLog } from "../shared/device.ts";
import { bytePorts, type PortRange } from "./portRange.ts";
import { TRANSLATE } from "./scanCodes.ts";
import { SnapshotFields } from "./snapshotFields.ts";

const STATUS_OBF = 0x01;
const STATUS_SYS = 0x04;
const STATUS_CMD = 0x08;
const STATUS_NOT_INHIBITED = 0x10;
const STATUS_AUXB = 0x20;
const STATUS_TIMEOUT = 0x40;

const CONFIG_KBD_INT = 0x01;
const CONFIG_AUX_INT = 0x02;
const CONFIG_SYS = 0x04;
const CONFIG_KBD_DISABLE = 0x10;
const CONFIG_AUX_DISABLE = 0x20;
const CONFIG_XLAT = 0x40;

const OUTPUT_NOT_RESET = 0x01;
const OUTPUT_A20 = 0x02;
const OUTPUT_IRQ1 = 0x10;
const OUTPUT_IRQ12 = 0x20;

/** Input port: keyboard not locked, no manufacturing jumper. */
const INPUT_PORT = 0xa0;
const RESEND = 0xfe;
/** Set 2: the code that follows is of a key let go. */
const BREAK = 0xf0;
const RAM_SIZE = 32;
/** Replies a guest may leave unread; more are dropped. */
const MAX_REPLIES = 16;

export type Ps2PortName = "keyboard" | "mouse";

/**
 * What hangs on a PS/2 port. It keeps its own queue: the controller takes a byte from it when the data register is
 * free and the port is enabled.
 */
export interface Ps2Device {
  /** A byte from the host. */
  receive(value: number): void;
  /** Takes the next byte for the host out of the queue; undefined if there is none. */
  next(): number | undefined;
}

/** A byte on its way to the data register. */
interface Reply {
  value: number;
  /** AUXB and TO of the status that goes with it. */
  flags: number;
}

export interface I8042V1 {
  version: 1;
  /** RAM of the controller; byte 0 is the configuration. */
  ram: Uint8Array;
  /** Status without SYS, which is in the configuration. */
  status: number;
  data: number;
  /** Command whose data byte is awaited at port 0x60, -1 if none. */
  command: number;
  a20: boolean;
  /** Controller replies that wait for the data register: value | flags << 8. */
  replies: number[];
}

export interface I8042Options {
  readonly irq1: InterruptPin;
  readonly irq12: InterruptPin;
  /** The controller pulls the processor's reset line (command 0xfe, or bit 0 of the output port cleared). */
  readonly onReset: () => void;
  /** Level of the controller's A20 output; the board ORs it with port 0x92. */
  readonly onA20?: (enabled: boolean) => void;
  readonly log?: Log;
}

export class I8042 implements Device<I8042V1> {
  readonly name = "i8042";
  /** Ports for the machine to map. */
  readonly handlers: readonly PortRange[];
  private readonly options: I8042Options;
  private readonly log: Log;
  private readonly devices: { keyboard?: Ps2Device; mouse?: Ps2Device } = {};
  private ram = new Uint8Array(RAM_SIZE);
  private status = STATUS_NOT_INHIBITED;
  private data = 0;
  private command = -1;
  private a20 = true;
  private replies: Reply[] = [];

  constructor(options: I8042Options) {
    this.options = options;
    this.log = options.log ?? noLog;
    this.ram[0] = powerOnConfig();
    this.handlers = [
      bytePorts(0x60, 1, { read: () => this.readData(), write: (_, value) => this.writeData(value) }),
      bytePorts(0x64, 1, { read: () => this.readStatus(), write: (_, value) => this.writeCommand(value) }),
    ];
  }

  /**
   * Plugs a device in. Returns what the device calls whenever it has put something in its queue.
   * @throws Error if something is attached there
   */
  attach(port: Ps2PortName, device: Ps2Device): () => void {
    if (this.devices[port] !== undefined) throw new Error(`i8042: the ${port} port is taken`);
    this.devices[port] = device;
    return () => this.fill();
  }

  reset(): void {
    this.ram.fill(0);
    this.ram[0] = powerOnConfig();
    this.status = STATUS_NOT_INHIBITED;
    this.data = 0;
    this.command = -1;
    this.replies = [];
    this.setA20(true);
    this.updatePins();
  }

  export(): I8042V1 {
    return {
      version: 1,
      ram: this.ram.slice(),
      status: this.status,
      data: this.data,
      command: this.command,
      a20: this.a20,
      replies: this.replies.map(({ value, flags }) => value | (flags << 8)),
    };
  }

  import(state: I8042V1): void {
    const fields = new SnapshotFields(this.name, state).version(1);
    const ram = fields.bytes("ram", RAM_SIZE);
    const status = fields.u8("status");
    const data = fields.u8("data");
    const command = fields.int("command", -1, 0xff);
    const a20 = fields.bool("a20");
    const replies = fields.ints("replies", MAX_REPLIES, 0, 0xffff);
    this.ram = ram.slice();
    this.status = status;
    this.data = data;
    this.command = command;
    this.replies = replies.map((reply) => ({ value: reply & 0xff, flags: reply >> 8 }));
    this.setA20(a20);
    this.updatePins();
  }

  private readStatus(): number {
    return this.status | ((this.ram[0] & CONFIG_SYS) !== 0 ? STATUS_SYS : 0);
  }

  /** Reading takes the byte away; reading with nothing there gives the last one again. */
  private readData(): number {
    const value = this.data;
    this.status &= ~(STATUS_OBF | STATUS_AUXB | STATUS_TIMEOUT);
    this.updatePins();
    this.fill();
    return value;
  }

  private writeData(value: number): void {
    this.status &= ~STATUS_CMD;
    const command = this.command;
    this.command = -1;
    if (command >= 0x60 && command <= 0x7f) {
      this.ram[command & 0x1f] = value;
      this.updatePins();
    } else if (command === 0xd1) {
      this.setA20((value & OUTPUT_A20) !== 0);
      if ((value & OUTPUT_NOT_RESET) === 0) this.options.onReset();
    } else if (command === 0xd2) {
      this.reply(value);
    } else if (command === 0xd3) {
      this.reply(value, STATUS_AUXB);
    } else if (command === 0xd4) {
      this.send("mouse", CONFIG_AUX_DISABLE, STATUS_AUXB, value);
    } else {
      this.send("keyboard", CONFIG_KBD_DISABLE, 0, value);
    }
    this.fill();
  }

  /** Hands a byte to a device. Talking to a port enables it. */
  private send(port: Ps2PortName, disable: number, flags: number, value: number): void {
    this.ram[0] &= ~disable;
    const device = this.devices[port];
    if (device === undefined) this.reply(RESEND, flags | STATUS_TIMEOUT);
    else device.receive(value);
  }

  private writeCommand(command: number): void {
    this.status |= STATUS_CMD;
    this.command = -1;
    if (command >= 0x20 && command <= 0x3f) this.reply(this.ram[command & 0x1f]);
    else if ((command >= 0x60 && command <= 0x7f) || (command >= 0xd1 && command <= 0xd4)) this.command = command;
    else if (command >= 0xf0) {
      // Pulses the output lines whose bits are 0; line 0 is the processor's reset.
      if ((command & OUTPUT_NOT_RESET) === 0) this.options.onReset();
    } else this.execute(command);
    this.fill();
  }

  private execute(command: number): void {
    switch (command) {
      case 0xa7: // disable mouse
        this.ram[0] |= CONFIG_AUX_DISABLE;
        break;
      case 0xa8: // enable mouse
        this.ram[0] &= ~CONFIG_AUX_DISABLE;
        break;
      case 0xa9: // test mouse port
      case 0xab: // test keyboard port
        this.reply(0x00);
        break;
      case 0xaa: // self test
        this.ram[0] |= CONFIG_SYS;
        this.reply(0x55);
        break;
      case 0xad: // disable keyboard
        this.ram[0] |= CONFIG_KBD_DISABLE;
        break;
      case 0xae: // enable keyboard
        this.ram[0] &= ~CONFIG_KBD_DISABLE;
        break;
      case 0xc0: // read input port
        this.reply(INPUT_PORT);
        break;
      case 0xd0: // read output port
        this.reply(this.outputPort());
        break;
      case 0xdd: // A20 off
        this.setA20(false);
        break;
      case 0xdf: // A20 on
        this.setA20(true);
        break;
      case 0xe0: // read test inputs: both clock lines low, nobody sends
        this.reply(0x00);
        break;
      default:
        this.log(`unknown controller command 0x${command.toString(16)}`);
    }
  }

  private outputPort(): number {
    const { irq1, irq12 } = this.interrupts();
    return OUTPUT_NOT_RESET | (this.a20 ? OUTPUT_A20 : 0) | (irq1 ? OUTPUT_IRQ1 : 0) | (irq12 ? OUTPUT_IRQ12 : 0);
  }

  private reply(value: number, flags = 0): void {
    if (this.replies.length < MAX_REPLIES) this.replies.push({ value, flags });
    else this.log(`reply 0x${value.toString(16)} dropped: ${MAX_REPLIES} are unread`);
  }

  /** Puts the next byte into the free data register: the controller's own first, then keyboard, then mouse. */
  private fill(): void {
    if ((this.status & STATUS_OBF) !== 0) return;
    const next = this.replies.shift() ?? this.take("keyboard", CONFIG_KBD_DISABLE, 0) ?? this.takeMouse();
    if (next === undefined) return;
    this.data = next.value;
    this.status |= STATUS_OBF | next.flags;
    this.updatePins();
  }

  private takeMouse(): Reply | undefined {
    return this.take("mouse", CONFIG_AUX_DISABLE, STATUS_AUXB);
  }

  private take(port: Ps2PortName, disable: number, flags: number): Reply | undefined {
    const device = this.devices[port];
    let value = (this.ram[0] & disable) === 0 ? device?.next() : undefined;
    if (value === undefined) return undefined;
    if (port === "keyboard" && this.ram[0] & CONFIG_XLAT) {
      // A keyboard puts both bytes of a break into its queue at once.
      if (value === BREAK) value = TRANSLATE[device?.next() ?? 0] | 0x80;
      else value = TRANSLATE[value];
    }
    return { value, flags };
  }

  private interrupts(): { irq1: boolean; irq12: boolean } {
    const full = (this.status & STATUS_OBF) !== 0;
    const aux = (this.status & STATUS_AUXB) !== 0;
    const config = this.ram[0];
    return {
      irq1: full && !aux && (config & CONFIG_KBD_INT) !== 0,
      irq12: full && aux && (config & CONFIG_AUX_INT) !== 0,
    };
  }

  private updatePins(): void {
    const { irq1, irq12 } = this.interrupts();
    this.options.irq1.set(irq1);
    this.options.irq12.set(irq12);
  }

  private setA20(enabled: boolean): void {
    this.a20 = enabled;
    this.options.onA20?.(enabled);
  }
}

/** Both ports off, no interrupts, translation on: until the self test, the controller waits for its driver. */
function powerOnConfig(): number {
  return CONFIG_XLAT | CONFIG_AUX_DISABLE | CONFIG_KBD_DISABLE;
}
