/** Vite, and so vitest, gives a file imported with `?raw` as its text. */
declare module "*.asm?raw" {
  const text: string;
  export default text;
}
