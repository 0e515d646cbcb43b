// What a reader of the open page could see wrong, as sentences: one function of the page.
() => {
  const problems = [];
  const say = (element, what) =>
    problems.push(`${what}: ${(element.innerText || element.outerHTML).trim().slice(0, 80)}`);
  const shown = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  // What lies in a closed box or behind a tab is for its own moment.
  const folded = (element) =>
    element.closest("details:not([open])") ||
    [...document.querySelectorAll(".tabbed-block")].some((b) => b.contains(element) && !shown(b));

  const isMain = ({ family, status }) => family === "KaTeX_Main" && status === "loaded";

  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const inBox = (element) => {
      for (let up = element.parentElement; up; up = up.parentElement)
        if (getComputedStyle(up).overflowX !== "visible") return true;
      return false;
    };
    for (const element of document.querySelectorAll(".md-content *"))
      if (element.getBoundingClientRect().right > root.clientWidth && !inBox(element))
        say(element, `wider than the page, <${element.tagName.toLowerCase()}>`);
    problems.push(`scrolls sideways: ${root.scrollWidth} px of content in ${root.clientWidth}`);
  }

  const content = document.querySelector(".md-content");
  if (content.innerText.trim().length < 40) say(content, "hardly any text");
  const formulas = [...content.querySelectorAll(".katex")].filter((formula) => !folded(formula));
  for (const formula of formulas) {
    const box = formula.querySelector(".katex-html").getBoundingClientRect();
    if (!shown(formula) || box.width < 2 || box.height < 2) say(formula, "invisible formula");
  }
  // The browser fetches a font for what it shows.
  if (formulas.length && ![...document.fonts].some(isMain))
    problems.push("KaTeX's fonts are not there");

  const words = document.createTreeWalker(content, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const { textContent, parentElement } = words.currentNode;
    if (!parentElement.closest("code, pre, script, style, .katex, .doc-signature"))
      if (/\$[^$]+\$|\\[a-zA-Z]+|\\[([]/.test(textContent)) say(parentElement, "raw TeX");
  }

  for (const image of content.querySelectorAll("img")) {
    if (!image.alt.trim()) say(image, "image without alt text");
    if (shown(image) && !image.naturalWidth) say(image, "image that did not load");
  }
  for (const figure of content.querySelectorAll("figure")) {
    if (!figure.querySelector("figcaption")?.textContent.trim()) say(figure, "no caption");
    if (!folded(figure) && ![...figure.querySelectorAll("img, table")].some(shown))
      say(figure, "figure that shows nothing");
  }
  return problems;
};
