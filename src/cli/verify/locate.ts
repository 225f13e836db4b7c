/** From "these two have come to differ" to the first instruction after which they do, by running the guest again. */
import { disassemble } from "../../isa/disassemble.ts";
import { VCPU } from "../../shared/layout.ts";
import type { Snapshot } from "../../snapshot/container.ts";
import { codeWidth } from "../../vmm/cpuMode.ts";
import { type End, Lockstep, type Setup } from "./lockstep.ts";
import { again, type Input, isDifference, type Place, TURN } from "./record.ts";
import { type Difference, registersOf } from "./state.ts";

/** What a run up to a place has shown. */
export interface Shown {
  readonly place: Place;
  readonly differences: readonly Difference[];
  readonly states: Record<string, string>[];
  /** Instructions since the guest has booted. */
  readonly instructions: number;
}

/** Runs up to a place; undefined if both engines agree all the way. */
export async function show(
  setup: Setup,
  snapshot: Snapshot,
  input: readonly Input[],
  place: Place,
): Promise<Shown | undefined> {
  const pair = await Lockstep.create(setup, snapshot, again(input, place));
  try {
    const end: End = await pair.run();
    if (!isDifference(end)) return undefined;
    const states: Record<string, string>[] = [];
    for (const side of pair.sides) states.push(await registersOf(side.machine));
    const round = pair.round - 1;
    return {
      // It may be found earlier when it is looked for more thoroughly.
      place: round === place.round ? place : { ...place, round, instructions: Number(TURN) },
      differences: end.differences,
      states,
      instructions: pair.instructions,
    };
  } finally {
    await pair.destroy();
  }
}

/**
 * The fewest instructions that lead to a difference which has been found after `round` rounds; `equal` is the last round
 * after which memory was the same. `tell` hears of the progress.
 */
export async function locate(
  setup: Setup,
  snapshot: Snapshot,
  input: readonly Input[],
  round: number,
  equal: number,
  tell: (text: string) => void,
): Promise<Shown | undefined> {
  const whole = Number(TURN);
  const probe = (place: Place): Promise<Shown | undefined> => show(setup, snapshot, input, place);
  let best =
    (await probe({ round: round - 1, instructions: whole, thoroughFrom: equal + 1 })) ??
    (await probe({ round: round - 1, instructions: whole, thoroughFrom: Number.MAX_SAFE_INTEGER }));
  if (!best) return undefined;
  const place = best.place;
  let equalAt = 0;
  let differs = whole;
  while (differs - equalAt > 1) {
    const instructions = Math.floor((equalAt + differs) / 2);
    tell(`looking: ${equalAt} to ${differs} instructions into the turn`);
    const found = await probe({ ...place, instructions });
    if (found?.place.round === place.round) [best, differs] = [found, instructions];
    else equalAt = instructions;
  }
  return best;
}

/** Instructions of the path that are listed: as many as a compiled block may have. */
const PATH = 64;

/** What the interpreter executes up to a place, as text; nothing with several vCPUs, whose turns it would change. */
export async function pathTo(
  setup: Setup,
  snapshot: Snapshot,
  input: readonly Input[],
  place: Place,
): Promise<string[]> {
  if ((setup.vcpus ?? 1) > 1) return [];
  const plan = again(input, { ...place, instructions: Number(TURN) });
  const end = place.round + place.instructions;
  const lines: string[] = [];
  const alone: Lockstep = await Lockstep.create(
    setup,
    snapshot,
    {
      ...plan,
      turn: (round) => (round < place.round ? plan.turn(round) : 1n),
      settles: (round) => round <= place.round,
      over: (round) => {
        const { machine } = alone.sides[0];
        if (round >= Math.max(place.round, end - PATH) && round < end) {
          const ip = machine.view().get64(VCPU.rip);
          const line = disassemble(machine.debug.codeAtRip(0), 0, { mode: codeWidth(machine.view()), ip });
          lines.push(`${ip.toString(16)}  ${line.text}`);
        }
        return round >= end;
      },
    },
    true,
  );
  await alone.run();
  await alone.destroy();
  return lines;
}
