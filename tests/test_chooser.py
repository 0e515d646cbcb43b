"""The chooser: for each network of its questions the answer is what the plan of its recipe does."""

import itertools
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

import initguide as init

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "chooser.md"
TEXT = PAGE.read_text(encoding="utf-8")
QUESTIONS = {
    name: re.findall(r'value="(\w+)"', options)
    for name, options in re.findall(r'<select name="(\w+)">(.*?)</select>', TEXT, re.DOTALL)
    if name != "framework"
}
NETWORKS = [
    dict(zip(QUESTIONS, answers, strict=True)) for answers in itertools.product(*QUESTIONS.values())
]
ACTIVATIONS = {"relu": nn.ReLU, "smooth": nn.GELU, "saturating": nn.Tanh, "selu": nn.SELU}


class Answer(NamedTuple):
    """A section: its heading, its anchor, the answers it fits, and its recipe's code."""

    title: str
    anchor: str
    fits: dict[str, list[str]]
    recipe: str


def answers() -> list[Answer]:
    """Return the page's sections, in order."""
    found = []
    for section in TEXT.split("\n## ")[1:]:
        title, attributes = re.match(r"(.*?) \{ (.*) \}", section).groups()
        assert ".answer" in attributes
        fits = {name: v.split() for name, v in re.findall(r'data-(\w+)="([^"]*)"', attributes)}
        recipe = re.search(r"^ {4}(recipe = .*)$", section, re.MULTILINE).group(1)
        found.append(Answer(title, re.search(r"#([\w-]+)", attributes).group(1), fits, recipe))
    return found


def answer_to(network: dict[str, str]) -> Answer:
    return next(a for a in answers() if all(network[n] in fits for n, fits in a.fits.items()))


class Branch(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


def model_of(architecture, activation, normalization, depth):
    """Return a network as the answers describe it."""
    number = 12 if depth == "deep" else 3
    f, normed = ACTIVATIONS[activation], normalization == "yes"
    norm = [nn.LayerNorm(16)] if normed else []
    if architecture == "recurrent":
        return nn.LSTM(16, 16, num_layers=2)
    if architecture == "mlp":
        layers = [[nn.Linear(16, 16), *norm, f()] for _ in range(number)]
        return nn.Sequential(*itertools.chain(*layers), nn.Linear(16, 4))
    if architecture == "cnn":
        norm = [nn.BatchNorm2d(16)] if normed else []
        layers = [[nn.Conv2d(16, 16, 3, padding=1), *norm, f()] for _ in range(number)]
        return nn.Sequential(*itertools.chain(*layers), nn.Flatten(), nn.LazyLinear(4))
    if architecture == "transformer":
        norm = [nn.LayerNorm(16)]
        blocks = [
            Branch(*norm, nn.Linear(16, 64), f(), nn.Linear(64, 16)) for _ in range(2 * number)
        ]
        return nn.Sequential(nn.Embedding(50, 16), *blocks, nn.Linear(16, 50))
    blocks = [Branch(nn.Linear(16, 16), f(), nn.Linear(16, 16), *norm) for _ in range(number)]
    return nn.Sequential(nn.Linear(16, 16), *blocks, nn.Linear(16, 4))


def hidden(plan) -> dict:
    """Return the row of the second weight: a hidden layer's, with an activation behind it."""
    return [row for row in plan.rows if "weight" in row["parameter"] and row["fan_in"]][1]


# What each answer says, of the row of a hidden layer.
SAYS = {
    "lecun": lambda row, _: row["std"] == pytest.approx(row["fan_in"] ** -0.5),
    "orthogonal": lambda row, _: row["law"] == "orthogonal_",
    "delta-orthogonal": lambda row, _: row["law"] == "delta_orthogonal_",
    "xavier": lambda row, f: row["law"] == "xavier_normal_" and row["before"] == f,
    "he": lambda row, _: row["law"] == "kaiming_normal_" and row["before"] == "relu",
    "he-gain": lambda row, _: (
        row["std"] == pytest.approx(init.gain("gelu", "unit") * row["fan_in"] ** -0.5)
    ),
    "recurrent": lambda row, _: row["law"].startswith("orthogonal_"),
    "gpt2": lambda row, _: row["std"] == pytest.approx(0.02),
    "zero-gamma": lambda row, _: True,
    "small-branches": lambda row, _: True,
}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: "-".join(network.values()))
def test_the_answer_is_what_the_plan_does(network):
    answer = answer_to(network)
    model = model_of(**network)
    if network["architecture"] == "cnn":
        model(torch.zeros(1, 16, 4, 4))
    namespace = {"init": init, "nn": nn}
    exec(answer.recipe, namespace)
    plan = init.plan(model, namespace["recipe"])
    activation = ACTIVATIONS[network["activation"]].__name__.lower()
    assert SAYS[answer.anchor](hidden(plan), activation), (answer.title, hidden(plan))


def test_branches_end_as_the_answers_say():
    number = 12
    row = {"activation": "relu", "depth": "deep"}
    for architecture, normalization, ending, std in (
        ("residual", "yes", "layers.3.weight", 0.0),
        ("residual", "no", "layers.2.weight", 1 / (16 * number) ** 0.5),
        ("transformer", "no", "layers.3.weight", 0.02 / (2 * number) ** 0.5),
    ):
        network = row | {"architecture": architecture, "normalization": normalization}
        namespace = {"init": init, "nn": nn}
        exec(answer_to(network).recipe, namespace)
        plan = init.plan(model_of(**network), namespace["recipe"])
        ends = [row for row in plan.rows if row["parameter"].endswith(ending)]
        assert ends
        assert [row["std"] for row in ends] == pytest.approx([std] * len(ends))


def test_every_answer_is_given_to_someone():
    assert {answer_to(network).anchor for network in NETWORKS} == {a.anchor for a in answers()}


def test_the_browser_chooses_alike_and_keeps_the_answers_in_the_address(browser, address):
    page = browser.new_page()
    page.goto(f"{address}how-to/chooser/")
    for network in NETWORKS:
        for name, value in network.items():
            page.select_option(f"select[name={name}]", value)
        answer = answer_to(network)
        assert page.text_content(".chooser [role=status]") == answer.title
        visible = "[...document.querySelectorAll('h2.answer')].filter(h => h.checkVisibility())"
        assert page.evaluate(f"{visible}.map(h => h.id)") == [answer.anchor]
    page.select_option("select[name=framework]", "Keras")
    page.goto(page.url)
    assert page.input_value("select[name=architecture]") == NETWORKS[-1]["architecture"]
    shown = page.locator(".tabbed-block:visible").all_text_contents()
    assert shown
    assert all("keras" in text for text in shown)
    page.close()
