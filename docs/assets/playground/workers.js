// Starts worker threads, and builds the job of training, for which a worker fetches the digits itself.

import { DIGITS } from "./constants.js";
import { html } from "./controls.js";

export const newWorker = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

// In place of the figure, where the browser cannot start such a thread.
export function withoutWorkers(root) {
  root.classList.add("is-off");
  root.replaceChildren(html("p", { role: "status" }, "This live figure computes in a web worker, which this browser does not have or does not allow. A current browser can show it. The figures and numbers of this page need none."));
}

export function trainingJob(id, settings, options) {
  const data = new URL("./digits.bin", import.meta.url).href;
  return { job: "train", id, settings, options, data, constants: DIGITS };
}
