/** Results for people. */

import { geometricMean, pairs, spread } from "./stats.mjs";

const seconds = (s) => (s === undefined ? "-" : `${s.toFixed(s < 10 ? 3 : 1)} s`);
const times = (r) => (r === undefined ? "-" : `${r.toFixed(2)}x`);

/** Lines of columns, the first to the left and the others to the right. */
export function aligned(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join("  ")
      .trimEnd(),
  );
}

const ratio = (row, { ours, peer }) => row.ratios.find((r) => r.ours === ours && r.peer === peer)?.ratio;

/** The geometric mean of a table's ratios, for each of ours beside each peer. */
export function means(table) {
  return pairs(table.contenders).flatMap((pair) => {
    const all = table.rows.map((row) => ratio(row, pair)).filter((r) => r !== undefined);
    return all.length > 0 ? [{ ...pair, ratio: geometricMean(all), rows: all.length }] : [];
  });
}

/** Runs of one thing that took this many times as long as others are worth a remark. */
const NOISY = 1.5;

/** How far the runs of each contender are apart, where that is much; the first ones also warm compilers up. */
function noise(table) {
  return table.contenders.flatMap(({ id }) => {
    const spreads = table.rows
      .filter((row) => row.runs[id]?.length > 1)
      .map((row) => ({ name: row.name, spread: spread(row.runs[id].map((r) => r.host)) }));
    const noisy = spreads.filter((s) => s.spread > NOISY);
    if (noisy.length === 0) return [];
    const worst = noisy.reduce((a, b) => (b.spread > a.spread ? b : a));
    const most = `at most ${worst.spread.toFixed(1)}x (${worst.name})`;
    return [`${id}: runs more than ${NOISY}x apart in ${noisy.length} of ${spreads.length} rows, ${most}`];
  });
}

/** @returns {string[]} */
export function report(table) {
  const ids = table.contenders.map((c) => c.id);
  const columns = pairs(table.contenders);
  const rows = [["", ...ids, ...columns.map(({ ours, peer }) => `${ours} / ${peer}`)]];
  for (const row of table.rows) {
    const ratios = columns.map((pair) => (row.error ? "ERROR" : times(ratio(row, pair))));
    rows.push([row.name, ...ids.map((id) => seconds(row.seconds[id])), ...ratios]);
  }
  const mean = means(table);
  if (table.rows.length > 1 && mean.length > 0) {
    const of = ({ ours, peer }) => mean.find((m) => m.ours === ours && m.peer === peer)?.ratio;
    rows.push(["geometric mean", ...ids.map(() => ""), ...columns.map((pair) => times(of(pair)))]);
  }
  const lines = [table.title, ...aligned(rows).map((line) => `  ${line}`)];
  for (const row of table.rows) {
    if (row.error) lines.push(`  ERROR ${row.name}: ${row.error}`);
    for (const note of row.notes) lines.push(`  ${row.name}: ${note}`);
  }
  lines.push(...noise(table).map((line) => `  ${line}`));
  for (const [id, s] of Object.entries(table.speed ?? {})) {
    const giga = (s.instructions / 1e9).toFixed(3);
    lines.push(
      `  ${id}: ${giga} G instructions in ${s.vcpuSeconds.toFixed(2)} s of vCPU time: ${s.mips.toFixed(1)} MIPS`,
    );
  }
  for (const [id, why] of Object.entries(table.failures)) lines.push(`  FAILED ${id}: ${why}`);
  return lines;
}

/** Whether something in the table is not as it should be. */
export const bad = (table) =>
  Object.keys(table.failures).length > 0 || table.rows.some((row) => row.error !== undefined);
