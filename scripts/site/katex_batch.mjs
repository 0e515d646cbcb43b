// Formulas in, HTML with MathML out: [{tex, display}] on stdin, [{html} or {error}] on stdout.
import { readFileSync } from "node:fs";
import katex from "katex";

// A page is for reading: the TeX within the MathML is for nobody, and HTML needs no namespace.
const EXTRA = /<annotation .*?<\/annotation>|<\/?semantics>| xmlns="[^"]*"/gs;

const render = ({ tex, display }) => {
  try {
    // strict: what LaTeX itself would not accept is an error here too, rather than a guess.
    const html = katex.renderToString(tex, { displayMode: display, strict: "error" });
    return { html: html.replaceAll(EXTRA, "") };
  } catch (error) {
    if (!(error instanceof katex.ParseError)) throw error;
    return { error: error.rawMessage };
  }
};

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(render)));
