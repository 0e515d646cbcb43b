// Formulas in, HTML with MathML out: [{tex, display}] on stdin, [{html} or {error}] on stdout.
import { readFileSync } from "node:fs";
import katex from "katex";

const render = ({ tex, display }) => {
  try {
    // strict: what LaTeX itself would not accept is an error here too, rather than a guess.
    return { html: katex.renderToString(tex, { displayMode: display, strict: "error" }) };
  } catch (error) {
    if (!(error instanceof katex.ParseError)) throw error;
    return { error: error.rawMessage };
  }
};

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(render)));
