// The table of the code bases: shows its std at another width and depth. The build writes STDS, the
// values at all sizes, into another file. This is no module: it runs where it stands, before the page
// is drawn, so that nothing moves.

// Under `mkdocs serve` the values may not be there yet; then the table stays as it is.
if (typeof STDS === "object") {
  const { widths, depths, start, cells, values } = STDS;
  const root = document.querySelector(".stds");
  const shown = root.querySelectorAll("tbody td:not(:first-child)");

  const element = (tag, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };
  const question = (text, name, sizes, first) => {
    const options = sizes.map((size) => new Option(Number(size).toLocaleString("en"), size, size == first, size == first));
    const select = element("select", { name }, ...options);
    return [element("label", {}, text, " ", select), select];
  };

  const [widthLabel, width] = question("Width d", "width", Object.keys(widths), start[0]);
  const [depthLabel, depth] = question("Blocks L", "blocks", depths, start[1]);
  const hidden = element("output");
  const form = element(
    "form",
    { className: "questions", ariaLabel: "Size of the model" },
    widthLabel,
    depthLabel,
    element("p", {}, "Units in the MLP: ", hidden),
  );

  const show = () => {
    const size = width.selectedIndex * depths.length + depth.selectedIndex;
    cells.forEach((list, i) => (shown[i].textContent = values[list][size]));
    hidden.textContent = widths[width.value];
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", show);
  root.prepend(form);
  // A browser that returns to the page may have kept the choice.
  show();
}
