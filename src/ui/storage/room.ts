/** How much the browser keeps for this page, and lets it keep. */
export interface Room {
  /** Bytes that all of the page's storage takes; undefined where the browser does not say. */
  readonly usage?: number | undefined;
  readonly quota?: number | undefined;
  /** The browser throws nothing away without being asked. */
  readonly persisted: boolean;
}

export async function room(): Promise<Room> {
  const storage = navigator.storage as StorageManager | undefined;
  const { usage, quota } = (await storage?.estimate?.().catch(() => undefined)) ?? {};
  return { usage, quota, persisted: (await storage?.persisted?.().catch(() => false)) ?? false };
}

/**
 * Asks the browser not to throw anything away when its own disk is full. Firefox asks the person, who may never answer, so
 * nothing waits for it.
 */
export function askToPersist(): void {
  void navigator.storage?.persist?.().catch(() => false);
}
