/**
 * What only some machines have on their board: the parts of a PC that boots its own disks, and cards. A third of the engine's
 * code is of them, so it is loaded when a machine wants it, and a page begins without.
 */
import { VGA_ROM } from "./firmwareTables.ts";
import type { MachineConfig } from "./machineConfig.ts";
import type { CardBoard, Cards, PciCards } from "./pciCards.ts";
import type { PcBoard, PcParts } from "./pcParts.ts";

/** Each puts its parts on a board. */
export interface Parts {
  readonly pc?: (board: PcBoard) => PcParts;
  readonly cards?: (board: CardBoard) => PciCards;
}

/** How many cards there are, one in a slot each. */
export const cardCount = ({ balloon, ...cards }: Cards): number =>
  Object.values(cards).reduce((sum: number, card) => sum + (Array.isArray(card) ? card.length : card ? 1 : 0), 0) +
  (balloon === undefined ? 0 : 1);

export async function loadParts({ bios, drives = {}, firmwareFiles, cards = {} }: MachineConfig): Promise<Parts> {
  return {
    ...(bios && { pc: await pcParts({ romSize: bios.length, drives, vgaRom: firmwareFiles?.[VGA_ROM] }) }),
    ...(cardCount(cards) > 0 && { cards: await pciCards(cards) }),
  };
}

async function pcParts(options: ConstructorParameters<typeof PcParts>[0]): Promise<NonNullable<Parts["pc"]>> {
  const { PcParts } = await import("./pcParts.ts");
  return (board) => new PcParts(options, board);
}

async function pciCards(cards: NonNullable<MachineConfig["cards"]>): Promise<NonNullable<Parts["cards"]>> {
  const { PciCards } = await import("./pciCards.ts");
  return (board) => new PciCards(cards, board);
}
