/** Reads a benchmark guest's serial line; what it says stands in test/bench/bench.c and test/bench/init. */

/** What we have the guest's shell print when a command is done; typed with quotes, so that the echo is not it. */
export const DONE = "@@R";
export const SAY_DONE = 'echo @@"R"';

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' escape sequences begin with one
const ESCAPES = /\x1b(\[[0-9;?]*[A-Za-z]|[^[])/g;

/**
 * Takes output as it arrives and gives its whole lines, cleaned of escape sequences and carriage returns.
 */
export class Lines {
  #rest = "";

  /** @returns {string[]} */
  feed(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    return lines.map((line) => line.replace(ESCAPES, "").replaceAll("\r", ""));
  }
}

/**
 * Collects what benchmarks report, with the host's time between their first and last line.
 */
export class Results {
  /** @type {{name: string, host: number, guest?: number, checksum: string}[]} Times in seconds, in order. */
  done = [];
  #running;
  #digests = [];

  /**
   * @param {string} line
   * @param {number} at  The host's clock when it arrived, in milliseconds.
   * @returns {boolean}  Whether the line says that the command is over.
   */
  line(line, at) {
    const [word, name, nanoseconds, checksum] = line.trim().split(/\s+/);
    if (word === "@@S") {
      if (this.#running) throw new Error(`${name} starts before ${this.#running.name} has ended`);
      if (!name) throw new Error("a benchmark starts without a name");
      this.#running = { name, at };
      this.#digests = [];
    } else if (word === "@@E") {
      if (this.#running?.name !== name) throw new Error(`${name} ends, but ${this.#running?.name ?? "nothing"} runs`);
      if (!/^\d+$/.test(nanoseconds ?? "") || !checksum) throw new Error(`not a result: "${line}"`);
      const result = { name, host: (at - this.#running.at) / 1000, checksum: [checksum, ...this.#digests].join(" ") };
      if (nanoseconds !== "0") result.guest = Number(nanoseconds) / 1e9;
      this.done.push(result);
      this.#running = undefined;
    } else if (this.#running && /^[0-9a-f]{32}$/.test(word)) {
      // An md5sum that the program prints is as good as a checksum.
      this.#digests.push(word);
    } else if (word === DONE) {
      if (this.#running) throw new Error(`${this.#running.name} never ended`);
      return true;
    }
    return false;
  }
}

const BENCH = "intmix sha256 memcpy smallcpy interp nbody int64 calls chase syscall pagefault ctxsw forkexec".split(
  " ",
);

/** Programs by name: which results they give and what to type. `shell` stands for three that are one function. */
export const PROGRAMS = {
  ...Object.fromEntries(
    BENCH.map((name) => [name, { gives: [name], command: (scale) => `/bin/bench ${name} ${scale}` }]),
  ),
  // The 32-bit guest's second build; the first computes with the x87.
  "nbody-sse": { gives: ["nbody"], bits: 32, command: (scale) => `/bin/benchsse nbody ${scale}` },
  shell: { gives: ["shell", "shfork", "gzip"], command: (scale) => `scale=${scale}; shell_benchmarks` },
};

/** Rows of the disk suite: what of test/bench/disk.c, how much that is at scale 100, and in which unit. */
export const DISK_ROWS = {
  seqread: { amount: 64, unit: "MiB/s" },
  seqwrite: { amount: 64, unit: "MiB/s" },
  randread: { amount: 4000, unit: "IO/s" },
  randwrite: { amount: 4000, unit: "IO/s" },
  // Four at once.
  randread4: { amount: 4000, unit: "IO/s" },
  randwrite4: { amount: 4000, unit: "IO/s" },
};
/** Bytes of the disk that is measured; the guest knows it by them, since drives are named in no certain order. */
export const DISK_BYTES = 128 * 2 ** 20;
/** The measured image's name. */
export const DATA_FILE = "data.img";
const FIND_DISK = [
  `find() { $b awk '$3 == ${DISK_BYTES / 1024} { print "/dev/" $4 }' /proc/partitions; }`,
  'i=0; while [ $i -lt 100 -a -z "$(find)" ]; do $b usleep 100000; i=$((i+1)); done; disk=$(find)',
];
/** Typed first: the drivers, as far as there is something for them, and `disk` becomes the device, or the shared file. */
export const prepareDisks = (bus, tag) =>
  [
    "b=/bin/busybox",
    "$b mount -t proc proc /proc",
    "$b mount -t devtmpfs dev /dev",
    "for m in /lib/modules/*; do $b insmod $m; done",
    ...(bus === "9p" ? [`$b mount -t 9p -o trans=virtio ${tag} /tmp; disk=/tmp/${DATA_FILE}`] : FIND_DISK),
    SAY_DONE,
  ].join("; ");

/** Added to the kernel command line: the shell is process 1, so programs whose checksum has their parent's id agree. */
export const SHELL = "rdinit=/bin/sh";
export const PROMPT = "/ # ";

/** Typed first: what bench and init's own benchmarks need. */
export const PREPARE = [
  "b=/bin/busybox",
  "$b mount -t proc proc /proc",
  "$b mount -t devtmpfs dev /dev",
  `eval "$($b sed -n '/^shell_benchmarks()/,/^}/p' /init)"`,
  SAY_DONE,
].join("; ");
