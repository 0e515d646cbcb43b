"""The chooser: each answer's snippets run alone and draw what the decision table says."""

import itertools
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "jax"

import decisions
import jax
import keras
import numpy as np
import pytest
import records
import torch
from choices.answers import FRAMEWORKS, QUESTIONS, Answer, answers, fitting
from playwright.sync_api import Browser, Page
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments import digits

ANSWERS = answers(decisions.draws())
URL = "how-to/chooser/"
CASES = [(framework, answer) for framework in FRAMEWORKS for answer in ANSWERS]


def name(case: Any) -> str:
    return "-".join(case.fits.values()) if isinstance(case, Answer) else case


# The questions -----------------------------------------------------------------------------------


def test_each_network_has_one_answer_and_each_answer_a_network():
    values = [list(values) for _, values in QUESTIONS.values()]
    networks = [dict(zip(QUESTIONS, row, strict=True)) for row in itertools.product(*values)]
    given = [fitting(ANSWERS, network) for network in networks]
    assert {name(answer) for answer in given} == {name(answer) for answer in ANSWERS}
    assert all(answer.fits.items() <= n.items() for answer, n in zip(given, networks, strict=True))


def test_a_question_is_asked_only_where_the_answer_depends_on_it():
    for question, answer in itertools.product(QUESTIONS, ANSWERS):
        if question in answer.fits:
            others = [answer.fits | {question: value} for value in QUESTIONS[question][1]]
            assert len({fitting(ANSWERS, other).title for other in others}) > 1, answer.fits


def test_sigmoid_does_not_get_the_answer_of_tanh():
    for architecture, depth in itertools.product(("mlp", "cnn"), ("shallow", "deep")):
        tanh, sigmoid = (
            fitting(ANSWERS, {"architecture": architecture, "depth": depth, "activation": f})
            for f in ("tanh", "sigmoid")
        )
        assert tanh.title != sigmoid.title
        assert "tanh" in sigmoid.title


# The snippets ------------------------------------------------------------------------------------


class Weight(NamedTuple):
    """A parameter by the name of its framework, as `(*kernel, in, out)`."""

    name: str
    values: np.ndarray


def weights(framework: str, namespace: dict[str, Any]) -> list[Weight]:
    """Return all parameters of what a snippet has made."""
    made = [namespace[n] for n in ("model", "layer", "policy", "value") if n in namespace]
    if framework in ("Flax", "JAX"):
        leaves, _ = jax.tree_util.tree_flatten_with_path(namespace["params"])
        return [Weight(jax.tree_util.keystr(path), np.asarray(leaf)) for path, leaf in leaves]
    if framework == "Keras":
        made = [m for m in made if isinstance(m, keras.layers.Layer)]
        found = {v.path: v for m in made for v in m.trainable_variables}
        return [Weight(path, np.asarray(v)) for path, v in found.items()]
    made = [m for m in made if isinstance(m, nn.Module)]
    parameters = {id(p): (n, p) for m in made for n, p in m.named_parameters() if p.requires_grad}
    return [Weight(n, torch_to_ours(n, p.detach().numpy())) for n, p in parameters.values()]


def torch_to_ours(name: str, values: np.ndarray) -> np.ndarray:
    is_table = re.match(r"(words|places)\.", name)
    return values if values.ndim < 2 or is_table else np.moveaxis(values, (0, 1), (-1, -2))


def is_matrix(weight: Weight) -> bool:
    small = ("bias", "scale", "frozen")
    return weight.values.ndim > 1 and not any(word in weight.name.lower() for word in small)


def table() -> dict[str, float]:
    """Return the gain of each activation in the table that the pages show."""
    shown = records.block("decisions", "how-to/chooser.md")
    rows = re.findall(r"^\| before (\w+).*?std \$([\d.]*)(?:/|\\sqrt)", shown, re.MULTILINE)
    return {activation.lower(): float(gain or 1) for activation, gain in rows}


GAINS = table()


def scaled(activation: str, fan_in: int, fan_out: int) -> float:
    """Return the std of the decision table."""
    is_xavier = activation in ("tanh", "sigmoid")
    return GAINS[activation] * math.sqrt(2 / (fan_in + fan_out) if is_xavier else 1 / fan_in)


def expected(answer: Answer) -> list[tuple[float, int | None]]:
    """Return the rms of each kind of weight, and how many there are if frameworks agree on that."""
    architecture, *_ = answer.fits.values()
    activation = answer.fits.get("activation", "")
    if answer.fits.get("depth") == "deep":
        shifted = activation == "sigmoid"
        gain = {"tanh": 1.0, "sigmoid": 4.0}.get(activation, GAINS[activation])
        ends = 2 if shifted else 1
        if architecture == "mlp" and activation == "tanh":
            return [(1 / 16, None)]
        if architecture == "mlp":
            return [(2 / 16, 2), (4 / 16, 19)] if shifted else [(gain / 16, 20), (1 / 16, 1)]
        if activation in ("tanh", "sigmoid"):
            # Of a delta-orthogonal kernel, one place in nine is not zero.
            return [(ends / 24, 1), (gain / 24, 19), (ends / 8, 1)]
        return [(gain / 27**0.5, 1), (gain / 24, 19), (1 / 8, 1)]
    if architecture == "mlp":
        return [
            (scaled(activation, 64, 256), 1),
            (scaled(activation, 256, 256), 1),
            (1 / 16, 1),
        ]
    if architecture == "cnn":
        return [
            (scaled(activation, 27, 576), 1),
            (scaled(activation, 576, 576), 1),
            (1 / 8, 1),
        ]
    return {
        "residual-yes": [((2 / 27) ** 0.5, 1), ((2 / 576) ** 0.5, 8), (1 / 8, 1)],
        "residual-no": [(1 / 8, 1), ((2 / 256 / 12) ** 0.5, 12), (0, 13)],
        "recurrent-lstm": [((2 / 192) ** 0.5, None), (128**-0.5, None)],
        "recurrent-gru": [((2 / 192) ** 0.5, None), (128**-0.5, None)],
        "recurrent-rnn": [((2 / 192) ** 0.5, 1), (128**-0.5, 1)],
        "transformer": [(0.02, None), (0.02 / 8**0.5, 8)],
        "llama": [(0.02, None), (0.02 / 8**0.5, 8), (128**-0.5, 1)],
        "unet": [(27**-0.5, 1), (1 / 24, 4), (1152**-0.5, 1), (0, 4)],
        "siren": [(0.5 / 3**0.5, 1), ((2 / 256) ** 0.5 / 30, 3)],
        "lora": [(1 / (3 * 256) ** 0.5, 1), (0, 1)],
        "ppo": [(2**0.5 / 8, 4), (0.01 / 8, 1), (1 / 8, 1)],
    }[name(answer)]


RAN: dict[tuple[str, str], list[Weight]] = {}


def ran(framework: str, answer: Answer) -> list[Weight]:
    """Run a snippet by itself, once; return its parameters."""
    key = (framework, name(answer))
    if key not in RAN:
        namespace: dict[str, Any] = {"__name__": "snippet"}
        exec(compile(answer.code[framework], "-".join(key), "exec"), namespace)
        RAN[key] = weights(framework, namespace)
    return RAN[key]


@pytest.mark.parametrize(("framework", "answer"), CASES, ids=name)
def test_a_snippet_draws_what_the_table_says(framework, answer):
    matrices = [weight for weight in ran(framework, answer) if is_matrix(weight)]
    kinds = expected(answer)
    counts = dict.fromkeys((std for std, _ in kinds), 0)
    for label, values in matrices:
        rms = float(np.sqrt(np.mean(np.square(values, dtype=float))))
        std = min(counts, key=lambda each: abs(rms - each))
        # Five standard errors of a normal sample's rms; other laws here vary less.
        slack = 5 * std / math.sqrt(2 * values.size) + 1e-7
        assert abs(rms - std) <= slack, f"{label} has the rms {rms:.4g}, which is none of {kinds}"
        counts[std] += 1
    for std, found in counts.items():
        wanted = [count for each, count in kinds if each == std]
        assert found, (std, wanted)
        assert None in wanted or found == sum(wanted), (std, wanted, found)


@pytest.mark.parametrize(("framework", "answer"), CASES, ids=name)
def test_no_two_weights_are_the_same(framework, answer):
    drawn = [w for w in ran(framework, answer) if is_matrix(w) and w.values.any()]
    assert len({w.values.tobytes() for w in drawn}) == len(drawn)


def square(found: list[Weight]) -> list[Weight]:
    squares = [weight for weight in found if weight.values.shape == (256, 256)]
    assert squares
    return squares


def gram_is(values: np.ndarray, gain: float) -> bool:
    """Return whether rows or columns are orthogonal and have this length."""
    matrix = values if values.shape[0] <= values.shape[1] else values.T
    return np.allclose(matrix @ matrix.T, gain**2 * np.eye(len(matrix)), atol=1e-4 * gain**2)


@pytest.mark.parametrize(("framework", "answer"), CASES, ids=name)
def test_what_should_be_orthogonal_is(framework, answer):
    found = [weight for weight in ran(framework, answer) if is_matrix(weight)]
    match answer.fits:
        case {"architecture": "recurrent"}:
            states = [w.values for w in found if w.values.shape[0] == 128]
            assert states
            for values in states:
                gates = np.split(values, values.shape[1] // 128, axis=1)
                assert all(gram_is(gate, 1) for gate in gates)
        case {"architecture": "mlp", "activation": "tanh" | "sigmoid", "depth": "deep"}:
            assert all(gram_is(w.values, np.linalg.norm(w.values, 2)) for w in square(found))
        case {"architecture": "cnn", "activation": "tanh" | "sigmoid", "depth": "deep"}:
            kernels = [w.values for w in found if w.values.ndim == 4]
            assert len(kernels) == 20
            for kernel in kernels:
                gain = np.linalg.norm(kernel[1, 1], 2)
                assert np.count_nonzero(kernel) == kernel[1, 1].size
                assert gram_is(kernel[1, 1], gain)
        case {"architecture": "ppo"}:
            assert all(gram_is(w.values, np.linalg.norm(w.values, 2)) for w in found)


@pytest.mark.parametrize(("framework", "answer"), CASES, ids=name)
def test_biases_are_zero_but_for_the_forget_gate_and_shifted_sums(framework, answer):
    biases = [w.values for w in ran(framework, answer) if "bias" in w.name]
    total = sum(float(values.sum()) for values in biases)
    if answer.fits.get("cell") == "lstm":
        assert total == pytest.approx(128 * math.log(100), rel=1e-4)
        assert all(value in (0, pytest.approx(math.log(100))) for b in biases for value in set(b))
    elif answer.fits.get("activation") == "sigmoid" and answer.fits["depth"] == "deep":
        assert total != 0
    else:
        assert not any(values.any() for values in biases)


@pytest.mark.parametrize("framework", ["initguide", "PyTorch"])
@pytest.mark.parametrize("answer", ANSWERS, ids=name)
def test_the_models_for_torch_take_a_batch(framework, answer):
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(answer.code[framework], namespace)
    inputs = {
        "mlp": (4, 256 if answer.fits.get("depth") == "deep" else 64),
        "residual": (4, 64) if answer.fits.get("normalization") == "no" else (4, 3, 8, 8),
        "cnn": (4, 3, 8, 8),
        "unet": (4, 3, 8, 8),
        "recurrent": (4, 10, 64),
        "siren": (4, 2),
        "lora": (4, 256),
        "ppo": (4, 8),
    }
    shape = inputs.get(answer.fits["architecture"])
    x = torch.randn(shape) if shape else torch.randint(1000, (2, 8))
    model = namespace.get("model", namespace.get("layer"))
    outputs = model(x)
    outputs = outputs[0] if isinstance(outputs, tuple) else outputs
    assert outputs.isfinite().all()


def test_a_deep_sigmoid_network_starts_as_a_tanh_network():
    """The oracle is tanh itself: the same orthogonal matrices, gain 1, no biases."""
    answer = fitting(ANSWERS, {"architecture": "mlp", "activation": "sigmoid", "depth": "deep"})
    namespace: dict[str, Any] = {}
    exec(answer.code["PyTorch"], namespace)
    model = namespace["model"].double()
    x = torch.randn(16, 256, dtype=torch.float64)
    h = x
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(layers[:-1]):
        h = torch.tanh(h @ layer.weight.T / (4 if i else 2))
    torch.testing.assert_close(model(x), h @ layers[-1].weight.T / 2, atol=1e-5, rtol=1e-5)


def test_a_deep_sigmoid_network_trains_with_its_answer_and_not_with_the_shallow_one():
    data = digits()
    network = {"architecture": "mlp", "activation": "sigmoid", "depth": "deep"}
    code = fitting(ANSWERS, network).code["PyTorch"].replace("256", "64")
    right = []
    for shallow in (False, True):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            namespace: dict[str, Any] = {}
            exec(code, namespace)
            model = namespace["model"]
            if shallow:
                init.initialize_(model, seed=0)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
            for _ in range(300):
                some = torch.randint(len(data.x_train), (128,))
                loss = F.cross_entropy(model(data.x_train[some]), data.y_train[some])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        right.append((model(data.x_test).argmax(1) == data.y_test).float().mean().item())
    assert right[0] > 0.8
    assert right[1] < 0.3


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("architecture", ["mlp", "cnn"])
def test_a_deep_sigmoid_networks_ends_have_half_the_gain(framework, architecture):
    network = {"architecture": architecture, "activation": "sigmoid", "depth": "deep"}
    found = ran(framework, fitting(ANSWERS, network))
    (head,) = (w.values for w in found if is_matrix(w) and w.values.shape[-1] == 10)
    assert gram_is(head, 2)
    biases = [w.values for w in found if "bias" in w.name]
    assert [len(values) for values in biases if not values.any()] == [biases[0].size]
    (last,) = (values for values in biases if len(values) == 10)
    np.testing.assert_allclose(last, -head.sum(0) / 2, atol=1e-5)


def test_the_snippets_are_formatted_and_clean(tmp_path):
    for framework, answer in CASES:
        path = tmp_path / f"{framework.lower()}_{name(answer).replace('-', '_')}.py"
        path.write_text(answer.code[framework])
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length=80", str(tmp_path)]
    # Keras reads its backend when it is imported; strict zips would make the lines longer.
    checks = ["--select=E,F,I,B,UP", "--ignore=E402,I001,B905"]
    for command in (["format", "--diff"], ["check", *checks]):
        done = subprocess.run([*ruff, *command, *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


# The page ----------------------------------------------------------------------------------------


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Give the chooser; nothing may go wrong on it."""
    page, problems = browser.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: problems.append(f"a dialog: {dialog.message}"))
    page.goto(address + URL)
    yield page
    page.close()
    assert not problems


def choose(page: Page, network: dict[str, str]) -> None:
    for question, value in network.items():
        page.select_option(f"select[name={question}]", value)


def test_the_browser_asks_and_answers_alike(page: Page):
    for answer in ANSWERS:
        choose(page, answer.fits)
        asked = page.locator(".chooser select:visible").evaluate_all("all => all.map(s => s.name)")
        assert asked == list(answer.fits)
        assert page.locator(".chooser h2").inner_text() == answer.title
        for framework in FRAMEWORKS:
            page.get_by_label(framework, exact=True).check(force=True)
            assert page.text_content("#chooser-code") == answer.code[framework]


def test_the_address_keeps_the_choice_and_the_focus_stays(page: Page):
    entries = page.evaluate("history.length")
    page.get_by_label("Architecture").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.name") == "architecture"
    page.get_by_label("Activation").select_option("tanh")
    page.get_by_label("Depth").select_option("deep")
    page.get_by_label("initguide", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "Flax"
    query = "?architecture=cnn&activation=tanh&depth=deep&framework=Flax"
    assert page.url.endswith(URL + query)
    # A choice is no entry in the history.
    assert page.evaluate("history.length") == entries
    page.goto(page.url)
    assert page.locator(".chooser h2").inner_text() == "Delta-orthogonal, gain 1"
    assert "nn.initializers.delta_orthogonal()" in page.text_content("#chooser-code")
    assert page.locator(".chooser__note:visible").count() == 0


@pytest.mark.parametrize(
    "value",
    [
        "smooth",
        "",
        "__proto__",
        "<img src=x onerror=alert(1)>",
        '"><script>alert(1)</script>',
        "x" * 5000,
    ],
    ids=["stale", "empty", "prototype", "image", "script", "long"],
)
def test_a_value_that_is_no_choice_is_named_and_replaced(page: Page, address: str, value: str):
    query = page.evaluate("v => new URLSearchParams({activation: v, depth: 'deep'}) + ''", value)
    page.goto(f"{address}{URL}?{query}")
    note = page.locator(".chooser__note")
    assert value[:30] in note.inner_text()
    assert "no such choice" in note.inner_text()
    assert len(note.inner_text()) < 200
    assert page.locator(".chooser img, .chooser script").count() == 0
    assert page.get_by_label("Activation").input_value() == "relu"
    assert page.get_by_label("Depth").input_value() == "deep"
    page.get_by_label("Activation").select_option("gelu")
    assert not note.is_visible()


def test_a_framework_and_a_question_of_nobody(page: Page, address: str):
    page.goto(f"{address}{URL}?framework=Theano&constructor=1&utm_source=x&architecture=llama")
    assert "framework “Theano”" in page.locator(".chooser__note").inner_text()
    assert "constructor" not in page.locator(".chooser__note").inner_text()
    assert page.locator("input[value=initguide]").is_checked()
    assert page.get_by_label("Architecture").input_value() == "llama"


def test_the_copy_button_copies_the_snippet(browser: Browser, address: str):
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{address}{URL}?architecture=ppo&framework=JAX")
    page.get_by_title("Copy to clipboard").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    context.close()
    assert copied.strip() == fitting(ANSWERS, {"architecture": "ppo"}).code["JAX"].strip()


def test_without_scripts_a_table_has_all_answers(browser: Browser, address: str):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + URL)
    assert "needs JavaScript" in page.locator(".chooser").inner_text()
    cells = page.locator("table").first.inner_text()
    links = page.locator("table").first.locator("a").evaluate_all("all => all.map(a => a.href)")
    context.close()
    assert not [answer.title for answer in ANSWERS if answer.title not in cells]
    assert all(link.startswith(address) for link in links)
    assert len(links) > len({answer.title for answer in ANSWERS})
