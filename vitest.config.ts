import { configDefaults, defineConfig, mergeConfig } from "vitest/config";
import site from "./vite.config.ts";

/** Every test of `npm test`; `--mode long` (npm run test:long) runs those of test/long, which take minutes, instead. */
export default defineConfig(({ mode }) =>
  mergeConfig(site, {
    test:
      mode === "long"
        ? { include: ["test/long/**/*.test.ts"], fileParallelism: false }
        : { exclude: [...configDefaults.exclude, "test/long/**"] },
  }),
);
