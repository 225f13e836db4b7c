export function addSnapshot(site: string): Promise<number | undefined>;
