// The code that does the same with the package, to copy.

import { html } from "./controls.js";
import { snippet } from "./snippet.js";

export function takeHome(body) {
  const text = html("code");
  const said = html("span", { role: "status" });
  const copy = async (content, what) => {
    try {
      await navigator.clipboard.writeText(content);
      said.textContent = `${what} copied.`;
    } catch {
      said.textContent = "The browser does not let this page copy; select the text instead.";
    }
  };
  const button = (label, click) => html("button", { type: "button", class: "pg-button", click }, label);
  body.append(
    html("div", { class: "pg-code" },
      html("h2", { class: "pg-title" }, "Take it home: the same numbers from initguide"),
      html("div", { class: "pg-scroll", tabindex: 0, role: "region", "aria-label": "Python code" },
        html("pre", {}, text)),
      html("p", { class: "pg-buttons" }, button("Copy the code", () => copy(text.textContent, "Code")),
        button("Copy a link to this setting", () => copy(location.href, "Link")), said)),
  );
  return { adopt: (settings) => (text.textContent = snippet(settings)) };
}
