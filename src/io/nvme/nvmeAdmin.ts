/**
 * The admin command set (NVM Express 1.4, 5): queues, Identify, log pages, features, and events that are awaited.
 *
 * Not there: namespace management, firmware update, format, self-test, security, virtualization, keep alive. They are
 * invalid opcodes, and Identify says so. No event ever happens: temperature and media stay as they are.
 */
import type { GuestMemory } from "../../shared/device.ts";
import { scatter } from "../pieces.ts";
import type { SnapshotFields } from "../snapshotFields.ts";
import { firmwareLog, identifyController, identifyDescriptors, identifyNamespace, smartLog } from "./nvmeIdentify.ts";
import type { NvmCommands } from "./nvmeIo.ts";
import { CompletionQueue, SubmissionQueue } from "./nvmeQueue.ts";
import { ADMIN, type Command, FEATURE, MAX_ENTRIES, MAX_EVENTS, MAX_IO_QUEUES, PAGE, STATUS } from "./nvmeRegs.ts";
import { prpPieces } from "./prp.ts";

const NAMESPACE = 1;
/** Bits 10:8 of Get Features: which value is wanted. */
const SELECT_CAPABILITIES = 3;
const CHANGEABLE = 4;
const SAVE = 0x8000_0000;

/** Values after a reset. */
const DEFAULTS: Readonly<Record<number, number>> = {
  [FEATURE.arbitration]: 0,
  [FEATURE.powerManagement]: 0,
  [FEATURE.temperatureThreshold]: 0x157,
  [FEATURE.errorRecovery]: 0,
  [FEATURE.writeCache]: 1,
  [FEATURE.queues]: (MAX_IO_QUEUES - 1) * 0x1_0001,
  [FEATURE.coalescing]: 0,
  [FEATURE.vectorConfig]: 0,
  [FEATURE.writeAtomicity]: 0,
  [FEATURE.asyncEventConfig]: 0,
};

/** What a command has led to. Without a status it is not done yet. */
export interface Outcome {
  readonly status?: number;
  readonly result?: number;
}

const DONE: Outcome = { status: STATUS.success };
const fail = (status: number): Outcome => ({ status });

/** The controller's queues. */
export interface Queues {
  readonly submission: Map<number, SubmissionQueue>;
  readonly completion: Map<number, CompletionQueue>;
  /** Ends what a queue has at work. */
  drop(queue: SubmissionQueue): void;
}

export interface AdminV1 {
  features: number[];
  events: number[];
}

export class AdminCommands {
  readonly #memory: GuestMemory;
  readonly #queues: Queues;
  readonly #nvm: NvmCommands;
  readonly #serial: string;
  readonly #vectors: number;
  #features = { ...DEFAULTS };
  /** Command identifiers of the events that are awaited. */
  #events: number[] = [];

  constructor(memory: GuestMemory, queues: Queues, nvm: NvmCommands, serial: string, vectors: number) {
    this.#memory = memory;
    this.#queues = queues;
    this.#nvm = nvm;
    this.#serial = serial;
    this.#vectors = vectors;
  }

  reset(): void {
    this.#features = { ...DEFAULTS };
    this.#nvm.cache = true;
    this.#events = [];
  }

  execute(command: Command): Outcome {
    switch (command.opcode) {
      case ADMIN.deleteSq:
        return this.#deleteSq(command.cdw10 & 0xffff);
      case ADMIN.createSq:
        return this.#createSq(command);
      case ADMIN.deleteCq:
        return this.#deleteCq(command.cdw10 & 0xffff);
      case ADMIN.createCq:
        return this.#createCq(command);
      case ADMIN.getLogPage:
        return this.#log(command);
      case ADMIN.identify:
        return this.#identify(command);
      case ADMIN.abort:
        // Bit 0: the command was not aborted. It is on its way to the medium, or done.
        return { status: STATUS.success, result: 1 };
      case ADMIN.setFeatures:
        return this.#setFeature(command);
      case ADMIN.getFeatures:
        return this.#getFeature(command);
      case ADMIN.asyncEvent:
        if (this.#events.length === MAX_EVENTS) return fail(STATUS.eventLimit);
        this.#events.push(command.cid);
        return {};
    }
    return fail(STATUS.invalidOpcode);
  }

  // Queues (5.3 to 5.6). Identifier 15:0 and size - 1 31:16; they lie in one piece, for CAP.CQR says so.

  #createCq({ cdw10, cdw11, prp1 }: Command): Outcome {
    const id = cdw10 & 0xffff;
    const entries = (cdw10 >>> 16) + 1;
    const vector = cdw11 >>> 16;
    if (id < 1 || id > MAX_IO_QUEUES || this.#queues.completion.has(id)) return fail(STATUS.queueId);
    if (entries < 2 || entries > MAX_ENTRIES) return fail(STATUS.queueSize);
    if (prp1 % PAGE) return fail(STATUS.prpOffset);
    if (!(cdw11 & 1)) return fail(STATUS.invalidField);
    if (vector >= this.#vectors) return fail(STATUS.vector);
    this.#queues.completion.set(id, new CompletionQueue(id, prp1, entries, (cdw11 & 2) !== 0, vector));
    return DONE;
  }

  #createSq({ cdw10, cdw11, prp1 }: Command): Outcome {
    const id = cdw10 & 0xffff;
    const entries = (cdw10 >>> 16) + 1;
    const cq = cdw11 >>> 16 === 0 ? undefined : this.#queues.completion.get(cdw11 >>> 16);
    if (id < 1 || id > MAX_IO_QUEUES || this.#queues.submission.has(id)) return fail(STATUS.queueId);
    if (!cq) return fail(STATUS.cqInvalid);
    if (entries < 2 || entries > MAX_ENTRIES) return fail(STATUS.queueSize);
    if (prp1 % PAGE) return fail(STATUS.prpOffset);
    if (!(cdw11 & 1)) return fail(STATUS.invalidField);
    this.#queues.submission.set(id, new SubmissionQueue(id, cq, prp1, entries));
    return DONE;
  }

  #deleteSq(id: number): Outcome {
    const queue = id === 0 ? undefined : this.#queues.submission.get(id);
    if (!queue) return fail(STATUS.queueId);
    this.#queues.drop(queue);
    this.#queues.submission.delete(id);
    return DONE;
  }

  #deleteCq(id: number): Outcome {
    const queue = id === 0 ? undefined : this.#queues.completion.get(id);
    if (!queue) return fail(STATUS.queueId);
    for (const { cq } of this.#queues.submission.values()) if (cq === queue) return fail(STATUS.queueDeletion);
    this.#queues.completion.delete(id);
    return DONE;
  }

  // Data for the guest

  #give(command: Command, bytes: Uint8Array): Outcome {
    const pieces = prpPieces(this.#memory, command.prp1, command.prp2, bytes.length);
    if (!pieces) return fail(STATUS.prpOffset);
    scatter(this.#memory, pieces, bytes);
    return DONE;
  }

  #identify(command: Command): Outcome {
    const { nsid } = command;
    switch (command.cdw10 & 0xff) {
      case 0:
        if (nsid !== NAMESPACE) return fail(STATUS.invalidNamespace);
        return this.#give(command, identifyNamespace(this.#nvm.sectors, this.#nvm.source.readOnly));
      case 1:
        return this.#give(command, identifyController(this.#serial, this.#nvm.source.discard !== undefined));
      case 2: {
        // Identifiers of active namespaces that are greater.
        if (nsid >= 0xffff_fffe) return fail(STATUS.invalidNamespace);
        const list = new Uint8Array(PAGE);
        if (nsid < NAMESPACE) list[0] = NAMESPACE;
        return this.#give(command, list);
      }
      case 3:
        if (nsid !== NAMESPACE) return fail(STATUS.invalidNamespace);
        return this.#give(command, identifyDescriptors(this.#serial));
    }
    return fail(STATUS.invalidField);
  }

  #log(command: Command): Outcome {
    const { cdw10, cdw11, cdw12, cdw13 } = command;
    const length = ((cdw10 >>> 16) + (cdw11 & 0xffff) * 0x1_0000 + 1) * 4;
    const offset = cdw13 * 2 ** 32 + cdw12;
    const page = [undefined, () => new Uint8Array(64), smartLog, firmwareLog][cdw10 & 0xff]?.();
    if (!page) return fail(STATUS.logPage);
    if (offset % 4 || offset > page.length) return fail(STATUS.invalidField);
    // What is asked for beyond the page's end is left as it is.
    return this.#give(command, page.subarray(offset, Math.min(page.length, offset + length)));
  }

  // Features (5.21)

  #setFeature({ cdw10, cdw11 }: Command): Outcome {
    const id = cdw10 & 0xff;
    if (!(id in DEFAULTS)) return fail(STATUS.invalidField);
    if (cdw10 & SAVE) return fail(STATUS.notSaveable);
    switch (id) {
      case FEATURE.queues: {
        if ((cdw11 & 0xffff) === 0xffff || cdw11 >>> 16 === 0xffff) return fail(STATUS.invalidField);
        // Before any queue is there.
        if (this.#queues.submission.size > 1 || this.#queues.completion.size > 1) return fail(STATUS.sequence);
        const most = MAX_IO_QUEUES - 1;
        this.#features[id] = Math.min(cdw11 & 0xffff, most) | (Math.min(cdw11 >>> 16, most) << 16);
        return { status: STATUS.success, result: this.#features[id] };
      }
      case FEATURE.powerManagement:
        // There is one power state.
        if (cdw11 & 0x1f) return fail(STATUS.invalidField);
        break;
      case FEATURE.writeCache:
        this.#nvm.cache = (cdw11 & 1) !== 0;
        break;
      case FEATURE.vectorConfig:
        if ((cdw11 & 0xffff) >= this.#vectors) return fail(STATUS.invalidField);
        break;
    }
    this.#features[id] = cdw11 >>> 0;
    return DONE;
  }

  #getFeature({ cdw10, cdw11 }: Command): Outcome {
    const id = cdw10 & 0xff;
    const select = (cdw10 >>> 8) & 7;
    if (!(id in DEFAULTS) || select > SELECT_CAPABILITIES) return fail(STATUS.invalidField);
    if (select === SELECT_CAPABILITIES) return { status: STATUS.success, result: CHANGEABLE };
    const value = select === 0 ? this.#features[id] : DEFAULTS[id];
    if (id !== FEATURE.vectorConfig) return { status: STATUS.success, result: value };
    const vector = cdw11 & 0xffff;
    if (vector >= this.#vectors) return fail(STATUS.invalidField);
    // Only the last that was set is kept; coalescing changes nothing here.
    return { status: STATUS.success, result: (value & 0xffff) === vector ? value : vector };
  }

  export(): AdminV1 {
    return { features: Object.keys(DEFAULTS).map((id) => this.#features[Number(id)]), events: [...this.#events] };
  }

  /** @throws SnapshotError */
  check(from: SnapshotFields): () => void {
    const ids = Object.keys(DEFAULTS).map(Number);
    const values = from.intsOf("features", ids.length, 0, 0xffff_ffff);
    const events = from.ints("events", MAX_EVENTS, 0, 0xffff);
    return () => {
      this.#features = Object.fromEntries(ids.map((id, n) => [id, values[n]]));
      this.#nvm.cache = (this.#features[FEATURE.writeCache] & 1) !== 0;
      this.#events = events;
    };
  }
}
