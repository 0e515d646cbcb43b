// The chooser: shows the first section whose data-* fit the answers. The answers are in the address.
// A section that does not name a question fits any answer; without this script all are shown.
// No module: it runs where it stands, before the page is drawn, so that nothing moves.

{
  const form = document.querySelector("form.chooser");
  const status = form.querySelector('[role="status"]');
  const headings = [...document.querySelectorAll("h2.answer")];
  const QUESTIONS = ["architecture", "activation", "normalization", "depth"];

  // A section is its heading and all up to the next.
  const section = (heading) => {
    const parts = [heading];
    for (let next = heading.nextElementSibling; next && !next.matches("h2, script"); next = next.nextElementSibling)
      parts.push(next);
    return parts;
  };

  const answer = () =>
    headings.find((heading) =>
      QUESTIONS.every((name) => {
        const fits = heading.dataset[name];
        return !fits || fits.split(" ").includes(form.elements[name].value);
      }),
    );

  const show = () => {
    const chosen = answer();
    for (const heading of headings)
      for (const part of section(heading)) part.classList.toggle("chosen", heading === chosen);
    status.textContent = chosen.firstChild.textContent.trim();
    const framework = form.elements.framework.value;
    for (const label of chosen.parentElement.querySelectorAll(".tabbed-labels label"))
      if (label.textContent.trim() === framework && label.checkVisibility())
        document.getElementById(label.htmlFor).checked = true;
  };

  const keep = () => {
    const address = new URL(location.href);
    address.hash = "";
    address.search = new URLSearchParams(new FormData(form));
    history.replaceState(null, "", address);
  };

  const read = () => {
    for (const [name, value] of new URLSearchParams(location.search)) {
      const field = form.elements.namedItem(name);
      const known = field?.options && [...field.options].some((option) => option.value === value);
      if (known) field.value = value;
    }
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    keep();
    show();
  });
  read();
  show();
}
