/**
 * What only some machines have on their board: the parts of a PC that boots its own disks, and cards. A third of the engine's
 * code is of them, so it is loaded when a machine wants it, and a page begins without.
 */
import { VGA_ROM } from "./firmwareTables.ts";
import type { MachineConfig } from "./machineConfig.ts";
import type { CardBoard, PciCards } from "./pciCards.ts";
import type { PcBoard, PcParts } from "./pcParts.ts";

/** Each puts its parts on a board. */
export interface Parts {
  readonly pc?: (board: PcBoard) => PcParts;
  readonly cards?: (board: CardBoard) => PciCards;
}

export async function loadParts({ bios, drives = {}, firmwareFiles, cards = {} }: MachineConfig): Promise<Parts> {
  const some = Object.values(cards).some((card) => (Array.isArray(card) ? card.length > 0 : card));
  return {
    ...(bios && { pc: await pcParts({ romSize: bios.length, drives, vgaRom: firmwareFiles?.[VGA_ROM] }) }),
    ...((some || cards.balloon !== undefined) && { cards: await pciCards(cards) }),
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
