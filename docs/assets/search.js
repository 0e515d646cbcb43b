// The search: it loads when it is used, knows "he" as a name, and offers the nearest pages where it
// finds nothing. The build joins this file with the theme's own script, which runs after it.

"use strict";

{
  // The theme asks for the whole search index with every page, which is as heavy as the page itself.
  // Hold that request until the search is used, and the search's own worker too.
  const search = document.forms.namedItem("search");
  const used = new Promise((resolve) => {
    for (const event of ["focusin", "pointerenter"]) search.addEventListener(event, resolve);
    if (search.contains(document.activeElement)) resolve();
  });
  window.XMLHttpRequest = class extends XMLHttpRequest {
    open(method, url, ...rest) {
      this.held = String(url).endsWith("/search_index.json");
      super.open(method, url, ...rest);
    }

    send(body) {
      if (this.held) used.then(() => super.send(body));
      else super.send(body);
    }
  };

  // What the theme says to its worker, and hears.
  const [SETUP, READY, QUERY, RESULT] = [0, 1, 2, 3];
  // The theme's search leaves out "he", as a frequent word of English. It takes other frequent words for
  // the start of longer ones, such as "my" for "myths" and "to" for "tokens".
  const FREQUENT = /(?<![\w-])(?:an?|does|for|i|in|is|my|of|on|the|to|with)\s+/gi;
  const understood = (query) => query.replace(/(?<![\w-])he(?![\w-])/gi, "kaiming").replace(FREQUENT, "");

  const Started = window.Worker;
  window.Worker = class extends EventTarget {
    constructor(url, options) {
      if (!/\/workers\/search\.[^/]*$/.test(url)) return new Started(url, options);
      super();
      this.started = used.then(() => {
        const name = new URL(url, location.href).href;
        const worker = Started ? new Started(new URL("../../search_worker.js", name), { name }) : nothing;
        worker.onmessage = ({ data }) => {
          if (data.type === RESULT) offer(data.data.items.length === 0);
          this.dispatchEvent(new MessageEvent("message", { data }));
        };
        return worker;
      });
    }

    postMessage({ type, data }) {
      if (type === SETUP) pages = data.docs.filter(({ location }) => !location.includes("#")).map(described);
      if (type === QUERY) asked = words(data);
      this.started.then((worker) => worker.postMessage({ type, data: type === QUERY ? understood(data) : data }));
    }
  };

  // In place of a worker, where the browser has none: it finds nothing, so the nearest pages are shown.
  const nothing = {
    postMessage({ type }) {
      if (type === SETUP) this.onmessage({ data: { type: READY } });
      if (type === QUERY) this.onmessage({ data: { type: RESULT, data: { items: [] } } });
    },
  };

  let pages = [];
  let asked = [];

  const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

  // The parts of three letters, with the word's ends.
  const parts = (word) => {
    const text = `  ${word} `;
    return new Set(Array.from(text.slice(2), (_, i) => text.slice(i, i + 3)));
  };

  const described = ({ location, title, tags = [] }) => ({
    location,
    title: new DOMParser().parseFromString(title, "text/html").body.textContent,
    words: words(`${title} ${tags.join(" ")}`).map(parts),
  });

  // The share of parts that two words have in common.
  const likeness = (a, b) => (2 * [...a].filter((part) => b.has(part)).length) / (a.size + b.size);

  // Of equally near pages, those of the guide come first, and those of the API last.
  const place = ({ location }) => (location.startsWith("guide/") ? 0 : location.startsWith("api/") ? 2 : 1);

  const nearest = () => {
    const wanted = asked.map(parts);
    const score = (page) =>
      wanted.reduce((sum, word) => sum + Math.max(0, ...page.words.map((each) => likeness(word, each))), 0);
    return pages
      .map((page) => [score(page), page])
      .sort(([a, p], [b, q]) => b - a || place(p) - place(q))
      .slice(0, 3)
      .map(([, page]) => page);
  };

  const element = (tag, attributes, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };

  const near = element("div", { className: "near", hidden: true });
  // Not within the theme's element, whose last child it takes for its list.
  search.parentElement.querySelector(".md-search-result").after(near);

  const offer = (empty) => {
    near.hidden = !empty || asked.length === 0;
    if (near.hidden) return;
    const { base } = JSON.parse(document.getElementById("__config").textContent);
    const links = nearest().map(({ location, title }) =>
      // Pages of the guide and of the API may have the same title.
      element("li", {}, element("a", { href: `${base}/${location}` }, title, " ", element("small", {}, location))),
    );
    near.replaceChildren(element("p", {}, "The nearest pages:"), element("ol", {}, ...links));
  };
}
