/** Vite, and so vitest, gives a file imported with `?raw` as its text. */
declare module "*.c?raw" {
  const text: string;
  export default text;
}
