/** What is new on a text screen: lines that have merely moved up are not. */
export function freshLines(before: readonly string[], lines: readonly string[]): string {
  const moved = scrolled(before, lines);
  return lines.filter((line, y) => line !== before[y + moved] || line === "").join("\n");
}

/** How far the lines of `before` have moved up: the distance at which most of those with something on them agree. */
function scrolled(before: readonly string[], lines: readonly string[]): number {
  let best = 0;
  let most = 0;
  for (let by = 0; by < before.length; by++) {
    let same = 0;
    for (let y = 0; y + by < before.length; y++) if (lines[y] && lines[y] === before[y + by]) same++;
    if (same > most) {
      most = same;
      best = by;
    }
  }
  return best;
}
