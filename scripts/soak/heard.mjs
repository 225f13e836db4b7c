/** What a guest's console has said, and waiting for what it is to say. */
export class Heard {
  #text = "";
  #more = () => {};
  #ended;

  /** More has come. */
  take(text) {
    this.#text += text;
    this.#more();
  }

  /** Nothing more comes. */
  end(why) {
    this.#ended = why;
    this.#more();
  }

  /** What comes before `mark`, which is consumed. @throws Error if it does not come, or everything has ended */
  async upTo(mark, seconds) {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const at = this.#text.indexOf(mark);
      if (at >= 0) {
        const part = this.#text.slice(0, at);
        this.#text = this.#text.slice(at + mark.length);
        return part.replaceAll("\r\n", "\n");
      }
      const left = end - performance.now();
      if (this.#ended !== undefined || left <= 0) {
        const why = this.#ended ?? `no ${JSON.stringify(mark)} within ${seconds} s`;
        throw new Error(`${why}; the console's end:\n${this.#text.slice(-2000)}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#more = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
