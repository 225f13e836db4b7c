/** Vite, and so vitest, gives a file imported with `?raw` as its text. */
declare module "*.asm?raw" {
  const text: string;
  export default text;
}

/** Images in base64, made by scripts/assembled-images.mjs. */
declare module "virtual:embedded-guest" {
  const base64: string;
  export default base64;
}
declare module "virtual:lessons-firmware" {
  const base64: string;
  export default base64;
}
