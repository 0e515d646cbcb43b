// Help for readers: figures that can be enlarged, the choice of colours, links into tabs, and live
// playgrounds. The build joins it with the theme's own script, which runs after it.

"use strict";

{
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

  // The colours: those of the system, light or dark. The reader's choice is kept where the theme's
  // own script in the page's header looks for it.
  const palette = document.querySelector("[data-palette]");
  const choices = [...palette.querySelectorAll("input")];
  const system = matchMedia("(prefers-color-scheme: light)");
  const choose = (index) => {
    const { mdColorMedia: media, ...names } = choices[index].dataset;
    const shown = index === 0 ? choices[system.matches ? 1 : 2].dataset.mdColorScheme : names.mdColorScheme;
    if (document.body.dataset.mdColorScheme !== shown) document.body.dataset.mdColorScheme = shown;
    choices[index].checked = true;
    for (const choice of choices) choice.nextElementSibling.hidden = choice !== choices[index];
    const color = { media, scheme: shown, primary: names.mdColorPrimary, accent: names.mdColorAccent };
    __md_set("__palette", { index, color });
  };
  palette.addEventListener("change", (event) => choose(choices.indexOf(event.target)));
  system.addEventListener("change", () => choose(choices.findIndex((choice) => choice.checked)));
  choose(__md_get("__palette")?.index ?? 0);

  // A link to something in a tab opens that tab.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const block = target?.closest(".tabbed-block");
    if (!block) return;
    const index = [...block.parentElement.children].indexOf(block);
    block.closest(".tabbed-set").querySelectorAll(":scope > input")[index].checked = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Each playground comes to life when it comes near the screen.
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries)
        if (isIntersecting) {
          near.unobserve(target);
          import("./playground/app.js").then(({ mount }) => mount(target));
        }
    },
    { rootMargin: "600px" },
  );
  for (const root of document.querySelectorAll(".playground")) near.observe(root);
}
