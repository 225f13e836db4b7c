/**
 * The PC speaker: a square wave through Web Audio. Made with the first tone, since a page may not sound before a person has
 * done something on it; a browser that refuses is silent.
 */
const VOLUME = 0.08;
/** Seconds to fade, so that starts and ends do not click. */
const FADE = 0.005;

export class Speaker {
  #audio: { context: AudioContext; oscillator: OscillatorNode; gain: GainNode } | undefined;

  /** @param hz 0 = silent */
  play(hz: number): void {
    if (!this.#audio && hz === 0) return;
    try {
      this.#audio ??= make();
      const { context, oscillator, gain } = this.#audio;
      if (hz > 0) {
        oscillator.frequency.setValueAtTime(Math.min(hz, context.sampleRate / 2), context.currentTime);
        if (context.state === "suspended") void context.resume();
      }
      gain.gain.setTargetAtTime(hz > 0 ? VOLUME : 0, context.currentTime, FADE);
    } catch {
      // No sound here.
    }
  }
}

function make(): { context: AudioContext; oscillator: OscillatorNode; gain: GainNode } {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { type: "square" });
  const gain = new GainNode(context, { gain: 0 });
  oscillator.connect(gain).connect(context.destination);
  oscillator.start();
  return { context, oscillator, gain };
}
