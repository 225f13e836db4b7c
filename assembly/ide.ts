/**
 * The front of the IDE channels (src/io/ideChannel.ts): a transfer by DMA takes no round trip to the device thread. All of its
 * writes, and the read of the status that takes INTRQ back, go through the ring; what registers read as until the device
 * thread has carried them out is known here. Only the write that starts the bus master wakes that thread.
 *
 *     vCPU:           POSTED + 1 · TAKEN == the one before: CLEAR, SET = this change; else this change after those · entry
 *     device thread:  entry taken · carried out · VALUES · TAKEN = entries taken · interrupt, if POSTED is the same
 *     reads:          POSTED == TAKEN: VALUES; else VALUES & ~CLEAR | SET
 *
 * An interrupt must not come before what its handler reads. So it waits while there are entries (src/bus/ideFront.ts), and the
 * first change behind it forgets the ones before: POSTED is counted up before TAKEN is looked at, TAKEN set before POSTED is,
 * so that one side has seen the other. Drivers lock a channel; vCPUs that do not see each other's changes late.
 *
 * Where the ring is read on this thread nothing changes a register by way of it: time there goes by instructions and exits,
 * and must not depend on when the ring was drained.
 */
import {
  ATA_STATUS_BSY, ATA_STATUS_DRQ, BUS_MASTER_ACTIVE, BUS_MASTER_DRIVES, BUS_MASTER_ERROR, BUS_MASTER_INTERRUPT,
  BUS_MASTER_START, BUS_MASTER_TO_MEMORY, CONTROL_BASE, C_DEVICE_THREAD, C_IDE, DEVICE_DEV, IDE_CLEAR, IDE_COMMAND, IDE_CONTROL,
  IDE_LOOKS, IDE_MASTER, IDE_POSTED, IDE_REGISTER_COMMAND, IDE_REGISTER_DEVICE, IDE_REGISTER_HIGH, IDE_SET, IDE_TAKEN,
  IDE_VALUES, IDE_VALUE_COMMAND_SHIFT, IDE_VALUE_DEV, IDE_VALUE_INTRQ, IDE_VALUE_READY, IDE_VALUE_STATUS_SHIFT, IDE_WORDS,
  RING_IDE, RING_PORT, Vcpu,
} from "./gen/layout";
import { ringDoorbell, ringHasRoom, ringPutQuietly } from "./ring";

const CHANNELS: u32 = 2;

/** Behind the command block's registers: the alternate status, then those of the bus master. */
const ALT_STATUS: u32 = 8;
const BM_COMMAND: u32 = 16;
const BM_STATUS: u32 = 18;
const BM_TABLE: u32 = 20;
const NONE: u32 = 32;

const START: u32 = BUS_MASTER_START << IDE_VALUE_COMMAND_SHIFT;
const ACTIVE: u32 = BUS_MASTER_ACTIVE << IDE_VALUE_STATUS_SHIFT;
const INT: u32 = BUS_MASTER_INTERRUPT << IDE_VALUE_STATUS_SHIFT;
/** Bits of the bus master's status that writing 1 clears. */
const BM_CLEARED: u32 = BUS_MASTER_INTERRUPT | BUS_MASTER_ERROR;

/** So often a guest reads what has not been carried out yet: one that polls waits for the device thread. */
const MOST_LOOKS: u32 = 8;

/** The words of the channel that `find` has found, and its number. */
let at: usize = 0;
let channel: u32 = 0;
/** The registers that `values` has told are not all as the device thread has published them. */
let underWay: bool = false;

@inline function word(i: u32): u32 { return atomic.load<u32>(at + (i << 2)); }
@inline function setWord(i: u32, value: u32): void { atomic.store<u32>(at + (i << 2), value); }

/** Which register the port is. */
function find(port: u32): u32 {
  for (channel = 0; channel < CHANNELS; channel++) {
    at = CONTROL_BASE + C_IDE + channel * IDE_WORDS * 4;
    const command = word(IDE_COMMAND), master = word(IDE_MASTER);
    if (command && port - command < 8) return port - command;
    if (port == word(IDE_CONTROL)) return port ? ALT_STATUS : NONE;
    if (master && port - master < 8) return BM_COMMAND + port - master;
  }
  return NONE;
}

function values(): u32 {
  const published = word(IDE_VALUES);
  underWay = word(IDE_POSTED) != word(IDE_TAKEN);
  return underWay ? (published & ~word(IDE_CLEAR)) | word(IDE_SET) : word(IDE_VALUES);
}

/** Posts an access that changes registers. */
function post(c: Vcpu, port: u32, size: u32, value: u32, clear: u32, set: u32): bool {
  if (!load<u32>(CONTROL_BASE + C_DEVICE_THREAD) || !ringHasRoom()) return false;
  if (atomic.add<u32>(at + (IDE_POSTED << 2), 1) != word(IDE_TAKEN)) {
    set |= word(IDE_SET) & ~clear;
    clear |= word(IDE_CLEAR);
  }
  setWord(IDE_CLEAR, clear);
  setWord(IDE_SET, set);
  setWord(IDE_LOOKS, 0);
  ringPutQuietly(c, RING_IDE, (<u64>channel << 56) | (<u64>size << 48) | (<u64>port << 32) | value);
  return true;
}

/** Posts a write that changes nothing that is read here. */
function postPlain(c: Vcpu, port: u32, size: u32, value: u32): bool {
  if (!ringHasRoom()) return false;
  ringPutQuietly(c, RING_PORT, (<u64>size << 48) | (<u64>port << 32) | value);
  return true;
}

/** READ DMA and WRITE DMA, with and without EXT. */
function isDma(command: u32): bool {
  return command == 0x25 || command == 0x35 || (command & 0xfc) == 0xc8;
}

/** Writes a register through the ring; false: somebody waits for it, or it is none. */
export function ideWrite(c: Vcpu, port: u32, size: u32, value: u32): bool {
  const register = find(port);
  if (register == NONE) return false;
  if (register == BM_TABLE) return size == 4 && postPlain(c, port, size, value);
  if (size != 1) return false;
  value &= 0xff;
  // A drive does nothing with the task file until the command is written.
  if (register > 0 && register <= IDE_REGISTER_HIGH) return postPlain(c, port, size, value);
  const v = values();
  if (register == IDE_REGISTER_DEVICE) {
    // It selects whose status is read.
    const selected = v & IDE_VALUE_DEV ? DEVICE_DEV : 0;
    return (value & DEVICE_DEV) == selected && postPlain(c, port, size, value);
  }
  if (register == IDE_REGISTER_COMMAND) {
    if (!(v & IDE_VALUE_READY) || v & (ATA_STATUS_BSY | ATA_STATUS_DRQ) || !isDma(value)) return false;
    if (!post(c, port, size, value, 0xff | IDE_VALUE_INTRQ, ATA_STATUS_BSY)) return false;
    // Otherwise it waits for the bus master.
    if (v & START) ringDoorbell();
    return true;
  }
  if (register == BM_COMMAND) {
    const command = (value & (BUS_MASTER_START | BUS_MASTER_TO_MEMORY)) << IDE_VALUE_COMMAND_SHIFT;
    const mask: u32 = 0xff << IDE_VALUE_COMMAND_SHIFT;
    // Drivers write the direction before each transfer.
    if (command == (v & mask)) return postPlain(c, port, size, value);
    if (command & START) {
      if (v & START) return post(c, port, size, value, mask, command);
      if (!post(c, port, size, value, mask, command | ACTIVE)) return false;
      ringDoorbell();
      return true;
    }
    // Nothing is moved any more when a transfer has been given up.
    if (v & START && !(v & INT)) return false;
    return post(c, port, size, value, mask | ACTIVE, command);
  }
  if (register == BM_STATUS) {
    if (!(v & INT)) return false;
    const clear = ((value & BM_CLEARED) | BUS_MASTER_DRIVES) << IDE_VALUE_STATUS_SHIFT;
    return post(c, port, size, value, clear, (value & BUS_MASTER_DRIVES) << IDE_VALUE_STATUS_SHIFT);
  }
  return false;
}

/** Reads a byte of a register; -1: it must be asked for. */
export function ideRead(c: Vcpu, port: u32): i32 {
  const register = find(port);
  if (register != IDE_REGISTER_COMMAND && register != ALT_STATUS && register != BM_COMMAND && register != BM_STATUS) return -1;
  const v = values();
  if (underWay) {
    const looks = word(IDE_LOOKS) + 1;
    if (looks > MOST_LOOKS) return -1;
    setWord(IDE_LOOKS, looks);
  }
  if (register == BM_COMMAND) return (v >> IDE_VALUE_COMMAND_SHIFT) & 0xff;
  if (register == BM_STATUS) return (v >> IDE_VALUE_STATUS_SHIFT) & 0xff;
  if (register == IDE_REGISTER_COMMAND && v & IDE_VALUE_INTRQ && !post(c, port, 0, 0, IDE_VALUE_INTRQ, 0)) return -1;
  return v & 0xff;
}
