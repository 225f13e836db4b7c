/** `tabhyve gdb-bridge`. */
import type { Command } from "commander";
import { Bridge } from "../bridge/bridge.ts";
import { UsageError } from "../options.ts";
import { noArguments, say, several, single } from "./common.ts";

/** Where gdb is looked for by habit. */
const GDB_PORT = 1234;

const parsePort = (text: string, name: string): number => {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) throw new UsageError(`${name} ${text}: not a port`);
  return Number(text);
};

export function addGdbBridge(program: Command): void {
  const command = program
    .command("gdb-bridge")
    .description("connect a gdb to a machine in a tab, which a person has allowed there")
    .allowExcessArguments()
    .addOption(single("--port <port>", "where gdb connects, on 127.0.0.1", parsePort).default(GDB_PORT))
    .addOption(
      single("--page-port <port>", "where the page connects, on 127.0.0.1 (default: any)", parsePort).default(0),
    )
    .option("--origin <origin>", "a page's origin that is let in besides this host's own; repeatable", several, [])
    .action(async ({ port, pagePort, origin }: { port: number; pagePort: number; origin: string[] }) => {
      noArguments(command);
      const bridge = await Bridge.open({ port, pagePort, origins: origin, say });
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => bridge.close());
    });
}
