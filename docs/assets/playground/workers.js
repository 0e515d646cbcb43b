// Threads of their own, and what one needs to train a network; it fetches the digits itself.

import { DIGITS } from "./constants.js";

export const newWorker = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

export function trainingJob(id, settings, options) {
  const data = new URL("./digits.bin", import.meta.url).href;
  return { job: "train", id, settings, options, data, constants: DIGITS };
}
