/** Milliseconds in which a browser has taken a blob that was clicked on. */
const TAKEN_MS = 60_000;

/** Hands a person a file: it goes where the browser's downloads go. */
export function offerFile(bytes: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(bytes);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), TAKEN_MS);
}
