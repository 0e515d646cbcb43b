"""Time the playground of a built site in Chromium: from a slider's move to the new curves.

Run `python scripts/bench_playground.py site` after a build.
"""

import functools
import http.server
import shutil
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

# Settings, and the milliseconds within which the curves should follow.
CASES = (
    ("?init=he&batch=128", 100),
    ("?init=he&width=128&batch=256", 250),
    ("?activation=gelu&init=gain&gain=1.534&width=128&batch=256", 250),
)
MOVES = 15
# Move the slider by one layer, and wait for the charts to show it.
MOVE = """(step) => new Promise((done) => {
  const root = document.querySelector('.playground');
  const slider = [...root.querySelectorAll('input[type=range]')].find((s) => s.max === '100');
  const before = root.dataset.shown;
  const started = performance.now();
  new MutationObserver((_, watch) => {
    if (root.dataset.shown === before) return;
    watch.disconnect();
    requestAnimationFrame(() => done(performance.now() - started));
  }).observe(root, { attributes: true });
  slider.value = Number(slider.value) + step;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
})"""
# Move it in each frame for two seconds: how long the frames take, and how many drawings there are.
DRAG = """() => new Promise((done) => {
  const root = document.querySelector('.playground');
  const slider = [...root.querySelectorAll('input[type=range]')].find((s) => s.max === '100');
  let [drawn, last, frames] = [0, performance.now(), []];
  const start = last;
  const watch = new MutationObserver(() => drawn++);
  watch.observe(root, { attributes: true, attributeFilter: ['data-shown'] });
  const frame = (now) => {
    frames.push(now - last);
    last = now;
    if (now - start > 2000) { watch.disconnect(); return done([frames, drawn]); }
    slider.value = 50 + Math.round(10 * Math.sin((now - start) / 200));
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""


def main() -> None:
    """Print the median and the range over moves, and the frames of a drag."""
    handler = functools.partial(_Quiet, directory=sys.argv[1])
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        _browser() as browser,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for query, limit in CASES:
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/playground/{query}")
            page.wait_for_selector(".playground[data-shown]")
            times = []
            for move in range(MOVES):
                page.wait_for_timeout(300)
                times.append(page.evaluate(MOVE, 1 if move % 2 else -1))
            frames, drawn = page.evaluate(DRAG)
            print(
                f"{query}: {statistics.median(times):.0f} ms ({min(times):.0f} to "
                f"{max(times):.0f}; at most {limit}); dragging: {statistics.median(frames):.1f} ms "
                f"a frame, {drawn} drawings in 2 s"
            )
            page.close()
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Leave the output to the times."""


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


if __name__ == "__main__":
    main()
