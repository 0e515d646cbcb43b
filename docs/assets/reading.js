// What helps reading: figures that can be enlarged, a search that loads when it is wanted, and a
// page that is styled once. A module, so it is deferred; it stands before the theme's own script and
// so runs before it.

// The theme asks for the whole search index with every page. Hold that until the search is used.
const search = document.forms.namedItem("search");
const { open, send } = XMLHttpRequest.prototype;
const held = new WeakSet();
XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  if (search && /\/search_index\.json$/.test(url)) held.add(this);
  return open.call(this, method, url, ...rest);
};
XMLHttpRequest.prototype.send = function (body) {
  if (!held.delete(this)) return send.call(this, body);
  const once = new AbortController();
  const release = () => {
    once.abort();
    send.call(this, body);
  };
  for (const event of ["focusin", "pointerenter"])
    search.addEventListener(event, release, { signal: once.signal });
  if (search.contains(document.activeElement)) release();
};

// Its worker starts with its first message, which waits for the index.
const Native = window.Worker;
class Waiting extends EventTarget {
  constructor(url, options) {
    if (!/\/workers\/search\./.test(url)) return new Native(url, options);
    super();
    this.start = () => new Native(url, options);
  }

  postMessage(message) {
    if (!this.real) {
      this.real = this.start();
      this.real.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent("message", { data }));
    }
    this.real.postMessage(message);
  }
}
window.Worker = Waiting;

// The theme puts its colour scheme into an element of the head, for which the browser styles the
// whole page anew, twice. The stylesheet says the same of the root.
const { appendChild } = document.head;
document.head.appendChild = (node) =>
  node.name === "color-scheme" ? node : appendChild.call(document.head, node);

// Figures: a button on each opens it as large as the screen allows. The dialog is the browser's
// own: Escape closes it, the keyboard stays within, and the focus returns to the button.
const element = (tag, attributes, ...children) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
};

const dialog = element("dialog", { className: "enlarged md-typeset" });
const close = element("button", { type: "button", className: "enlarged__close" }, "Close");
const frame = element("div", { className: "enlarged__frame", tabIndex: 0 });
dialog.setAttribute("aria-label", "Enlarged figure");
frame.setAttribute("role", "group");
frame.setAttribute("aria-label", "Figure, scrolls");
dialog.append(close, frame);
close.addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

for (const figure of document.querySelectorAll(".md-content figure")) {
  const images = [...figure.querySelectorAll(":scope > img, :scope > p > img")];
  if (images.length === 0) continue;
  const enlarge = () => {
    frame.replaceChildren(
      ...images.map((image) => Object.assign(image.cloneNode(), { loading: "eager" })),
    );
    const caption = figure.querySelector("figcaption");
    if (caption) frame.append(element("p", { className: "enlarged__caption" }, caption.innerText));
    if (!dialog.isConnected) document.body.append(dialog);
    dialog.showModal();
  };
  const button = element("button", { type: "button", className: "enlarge", title: "Enlarge" });
  button.setAttribute("aria-label", "Enlarge the figure");
  button.addEventListener("click", enlarge);
  for (const image of images) image.addEventListener("click", enlarge);
  figure.classList.add("has-enlarge");
  figure.append(button);
}
