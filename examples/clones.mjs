// One machine boots, a snapshot of it is taken, and ten clones of it go on, each with something else typed.
import { coreBytes, embeddedGuest, Machine } from "tabhyve";

const core = coreBytes();
const PROMPT = "tabhyve> ";

/** A machine that has not booted, and a function that waits for text on its console. */
async function machine() {
  let text = "";
  let changed = () => {};
  const one = await Machine.create({
    core,
    kernel: embeddedGuest(),
    memoryBytes: 16 << 20,
    transport: "inline",
    serial: (bytes) => {
      text += new TextDecoder().decode(bytes);
      changed();
    },
  });
  const upTo = async (mark) => {
    while (!text.includes(mark)) {
      await new Promise((resolve) => {
        changed = resolve;
      });
    }
    const part = text.slice(0, text.indexOf(mark));
    text = text.slice(part.length + mark.length);
    return part;
  };
  return { one, upTo };
}

const first = await machine();
await first.one.start();
await first.upTo(PROMPT);
const snapshot = await first.one.save();
await first.one.destroy();
console.log(`snapshot: ${snapshot.length} bytes`);

for (let i = 1; i <= 10; i++) {
  const { one, upTo } = await machine();
  await one.restore(snapshot);
  await one.resume();
  one.serialInput(new TextEncoder().encode(`clone${i}\r`));
  console.log((await upTo("\r\n")).trim());
  await one.destroy();
}
