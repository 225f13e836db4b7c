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
    for (const [id, runs] of Object.entries(row.runs)) {
      const apart = spread(runs.map((r) => r.host));
      if (apart > 1.5) lines.push(`  ${row.name}: ${id}'s runs are ${apart.toFixed(1)}x apart`);
    }
  }
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
