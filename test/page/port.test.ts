import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { root } from "./browser.ts";

test.each([[[]], [["preview"]]])(
  "a port in use ends the server with one line: vite %j",
  { timeout: 30_000 },
  async (command) => {
    const other = createServer();
    const port = await new Promise<number>((resolve) =>
      other.listen(0, "localhost", () => resolve((other.address() as import("node:net").AddressInfo).port)),
    );
    try {
      const env = { ...process.env, VITEST: "", TABHYVE_PORT_CHECKED: "" };
      const vite = spawn(
        process.execPath,
        [`${root}node_modules/vite/bin/vite.js`, ...command, "--port", String(port)],
        { cwd: root, env },
      );
      let errors = "";
      vite.stderr.on("data", (chunk) => {
        errors += chunk;
      });
      const status = await new Promise((resolve) => vite.on("exit", resolve));
      expect(status).toBe(1);
      expect(errors.trim().split("\n")).toEqual([expect.stringContaining(`port ${port} is in use`)]);
    } finally {
      other.close();
    }
  },
);
