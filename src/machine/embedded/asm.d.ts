/** Vite, and so vitest, gives a file imported with `?raw` as its text. */
declare module "*.asm?raw" {
  const text: string;
  export default text;
}

/** The embedded guest's image in base64, made by scripts/embedded-guest.mjs. */
declare module "virtual:embedded-guest" {
  const base64: string;
  export default base64;
}
