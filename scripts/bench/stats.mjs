/** What a few timings amount to. */

/** The middle one; of an even number, the mean of the middle two. */
export function median(values) {
  if (values.length === 0) throw new RangeError("the median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The mean for ratios: it does not depend on who is divided by whom. All values must be above 0. */
export function geometricMean(values) {
  if (values.length === 0) throw new RangeError("the geometric mean of nothing");
  if (!values.every((v) => v > 0 && Number.isFinite(v))) throw new RangeError(`not all above 0: ${values.join(" ")}`);
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}

/** Largest over smallest: how noisy the machine was. */
export const spread = (values) => Math.max(...values) / Math.min(...values);

/** Serial lines arrive with so much delay, in seconds, whatever the program does. */
const ARRIVAL = 0.005;

/**
 * Whether a guest's clock tells another time than the host's: by more than 10%, and by more than lines take to arrive.
 * @param {number} host  seconds
 * @param {number | undefined} guest  seconds; undefined if the guest took no time
 */
export function clocksDisagree(host, guest) {
  if (guest === undefined) return false;
  const difference = Math.abs(host - guest);
  return difference > ARRIVAL && difference > 0.1 * host;
}

/**
 * One row of a table: a program (or a boot) on every contender.
 *
 * @param {string} name
 * @param {{id: string, ours: boolean}[]} contenders
 * @param {Map<string, {host: number, guest?: number, checksum?: string}[]>} runs  By contender; none where it failed.
 * @returns {{name: string, seconds: Record<string, number>, notes: string[], error?: string,
 *   ratios: {ours: string, peer: string, ratio: number}[]}}  Medians; there are no ratios if there is an error.
 */
export function summarise(name, contenders, runs) {
  const row = { name, seconds: {}, ratios: [], notes: [] };
  const checksums = new Map();
  for (const { id } of contenders) {
    const taken = runs.get(id) ?? [];
    if (taken.length === 0) continue;
    const host = median(taken.map((r) => r.host));
    row.seconds[id] = host;
    for (const { checksum } of taken) {
      if (checksum === undefined) continue;
      if (!checksums.has(checksum)) checksums.set(checksum, new Set());
      checksums.get(checksum).add(id);
    }
    const off = taken.filter((r) => clocksDisagree(r.host, r.guest));
    if (off.length * 2 > taken.length) {
      row.notes.push(`${id}: its own clock says ${median(off.map((r) => r.guest)).toFixed(3)} s`);
    }
  }
  if (checksums.size > 1) {
    row.error = `checksums differ: ${[...checksums].map(([sum, who]) => `${sum} (${[...who].join(", ")})`).join(", ")}`;
    return row;
  }
  row.ratios = pairs(contenders)
    .filter(({ ours, peer }) => row.seconds[ours] > 0 && row.seconds[peer] > 0)
    .map(({ ours, peer }) => ({ ours, peer, ratio: row.seconds[ours] / row.seconds[peer] }));
  return row;
}

/** Who is compared with whom: each of ours with each peer. */
export const pairs = (contenders) =>
  contenders
    .filter((c) => c.ours)
    .flatMap((c) => contenders.filter((p) => !p.ours).map((p) => ({ ours: c.id, peer: p.id })));
