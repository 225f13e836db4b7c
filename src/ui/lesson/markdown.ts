/** A lesson's Markdown as HTML. HTML in it is shown as text, so that a lesson from a link can bring none. */
import markdownIt from "markdown-it";

const md = markdownIt({ html: false, linkify: false });
// The step's title is the heading above; a lesson's own begin below it.
md.core.ruler.push("headings", (state) => {
  for (const token of state.tokens) {
    if (token.type.startsWith("heading")) token.tag = `h${Math.min(6, Number(token.tag.slice(1)) + 3)}`;
  }
});
// A picture would be fetched from wherever the lesson says.
md.disable("image");

export const toHtml = (text: string): string => md.render(text);
