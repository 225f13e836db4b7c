import { configDefaults, defineConfig, mergeConfig } from "vitest/config";
import site from "./vite.config.ts";

/** Long enough for a machine that does something else as well; no test waits for a time to pass. */
const PATIENCE = { testTimeout: 120_000, hookTimeout: 300_000, expect: { poll: { timeout: 20_000 } } };
/** A folder for what test files have in common. */
const SHARED = { globalSetup: "test/page/shared.ts" };

/**
 * Every test of `npm test`. `--mode long` (npm run test:long) runs those of test/long, which take minutes, instead;
 * `--mode testfloat` (npm run testfloat) and `--mode fex` (npm run fex) those that need a suite from outside.
 */
export default defineConfig(({ mode }) =>
  mergeConfig(site, {
    test:
      mode === "long" || mode === "testfloat" || mode === "fex"
        ? { include: [`test/${mode}/**/*.test.ts`], fileParallelism: false, ...SHARED, ...PATIENCE }
        : {
            exclude: [...configDefaults.exclude, "test/long/**", "test/testfloat/**", "test/fex/**"],
            ...SHARED,
            ...PATIENCE,
          },
  }),
);
