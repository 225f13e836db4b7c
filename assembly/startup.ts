/** INIT and start-up IPIs, the vCPU's end (src/vcpu/startup.ts says how they arrive; SDM vol. 3, 9.4). */
import {
  EXIT_INIT, RUN_STATE_RUNNING, RUN_STATE_WAIT_FOR_SIPI, SEG_CS, STARTUP_INIT, STARTUP_SIPI, STARTUP_VECTOR, Vcpu, V_STARTUP,
} from "./gen/layout";
import { setSeg } from "./mem/segment";
import { updateMode } from "./sys/mode";

/** Access rights of CS after INIT: present code, accessed. */
const CODE16: u32 = 0x9b;

/** Takes what has arrived. True: leave with EXIT_INIT, so that the device thread resets this vCPU and its local APIC. */
export function takeStartup(c: Vcpu): bool {
  const at = changetype<usize>(c) + V_STARTUP, what = atomic.load<i32>(at);
  if (what & STARTUP_INIT) {
    atomic.and<i32>(at, ~STARTUP_INIT);
    c.exitCode = EXIT_INIT;
    // Not a read: there is nothing to replay.
    c.exitB = 1;
    return true;
  }
  if (what & STARTUP_SIPI && atomic.cmpxchg<i32>(at, what, 0) == what && c.runState == RUN_STATE_WAIT_FOR_SIPI) {
    const vector = <u32>(what & STARTUP_VECTOR);
    setSeg(c, SEG_CS, vector << 8, <u64>vector << 12, 0xffff, CODE16);
    c.rip = 0;
    c.runState = RUN_STATE_RUNNING;
    updateMode(c);
  }
  return false;
}
