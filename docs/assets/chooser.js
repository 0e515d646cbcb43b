// The chooser: asks the questions that matter, and shows the answer. The choices are in the address.
// The build writes CHOOSER, the questions and the answers, into another file. This is no module: it
// runs where it stands, before the page is drawn, so that nothing moves. Text is set as text.

// Under `mkdocs serve` the answers may not be there yet; then the page's table has them.
if (typeof CHOOSER === "object") {
  const { questions, frameworks, answers } = CHOOSER;
  const root = document.querySelector(".chooser");

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  const selects = {};
  const labels = Object.entries(questions).map(([name, [label, values]]) => {
    const options = Object.entries(values).map(([value, text]) => element("option", { value }, text));
    selects[name] = element("select", { name }, ...options);
    return element("label", {}, label, " ", selects[name]);
  });
  // One control for the framework: the tabs above the code.
  const tabs = frameworks.map((value) => element("input", { type: "radio", name: "framework", value }));
  tabs[0].checked = true;
  const note = element("p", { class: "chooser__note", role: "alert" });
  const title = element("h2", {});
  const why = element("p", {});
  const more = element("p", {});
  const code = element("code", { id: "chooser-code", tabindex: 0 });
  const copy = element("button", {
    class: "md-code__button",
    title: "Copy to clipboard",
    "data-md-type": "copy",
    "data-clipboard-target": "#chooser-code",
  });
  const form = element(
    "form",
    { "aria-label": "Your network" },
    element("div", { class: "questions" }, ...labels),
    note,
    element("div", { role: "status" }, title, why),
    more,
    element(
      "fieldset",
      { class: "chooser__frameworks" },
      element("legend", {}, "Framework"),
      ...tabs.map((tab) => element("label", {}, tab, element("span", {}, tab.value))),
    ),
    element("div", { class: "highlight" }, element("pre", {}, element("span", { class: "md-code__nav" }, copy), code)),
  );
  root.replaceChildren(form);

  // The answer, and the questions that lead to it: those that a fitting answer names.
  const find = () => {
    let fitting = answers;
    const asked = Object.keys(questions).filter((name) => {
      if (!fitting.some(({ fits }) => name in fits)) return false;
      fitting = fitting.filter(({ fits }) => !(name in fits) || fits[name] === selects[name].value);
      return true;
    });
    return { asked, answer: fitting[0] };
  };

  const TOKENS = /(#.*)|("[^"\n]*")|\b(import|from|as|def|class|return|for|in|if|else|with|lambda)\b|\b(\d[\d.]*)/g;
  const KINDS = ["c1", "s2", "k", "mi"];
  const highlighted = (text) => {
    const parts = [];
    let end = 0;
    for (const found of text.matchAll(TOKENS)) {
      const kind = KINDS[found.slice(1).findIndex((group) => group !== undefined)];
      parts.push(text.slice(end, found.index), element("span", { class: kind }, found[0]));
      end = found.index + found[0].length;
    }
    return [...parts, text.slice(end)];
  };

  const framework = () => tabs.find((tab) => tab.checked).value;

  const show = () => {
    const { asked, answer } = find();
    Object.keys(questions).forEach((name, i) => (labels[i].hidden = !asked.includes(name)));
    title.textContent = answer.title;
    why.textContent = answer.why;
    const links = Object.entries(answer.links).map(([text, href]) => element("a", { href }, text));
    more.replaceChildren("More: ", ...links.flatMap((link, i) => (i ? [" · ", link] : [link])));
    code.replaceChildren(...highlighted(answer.code[framework()]));
    note.hidden = !note.textContent;
    return asked;
  };

  // What the address asks for; a value that is no choice is named, and the first one stays.
  const read = () => {
    const wrong = [];
    for (const [name, value] of new URLSearchParams(location.search)) {
      const values = name === "framework" ? frameworks : Object.hasOwn(questions, name) && Object.keys(questions[name][1]);
      if (!values) continue;
      if (!values.includes(value)) wrong.push(`${name} “${value.length > 30 ? `${value.slice(0, 30)}…` : value}”`);
      else if (name === "framework") tabs[values.indexOf(value)].checked = true;
      else selects[name].value = value;
    }
    if (wrong.length)
      note.textContent = `The address asks for ${wrong.join(" and ")}. There is no such choice, so you see the first one.`;
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    note.textContent = "";
    const address = new URL(location.href);
    address.hash = "";
    address.search = "";
    for (const name of show()) address.searchParams.set(name, selects[name].value);
    address.searchParams.set("framework", framework());
    history.replaceState(null, "", address);
  });
  read();
  show();
}
