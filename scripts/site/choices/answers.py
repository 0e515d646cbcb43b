"""The chooser's questions and answers: one decision table for the page, its script and its tests.

An answer fits some values of some questions. A question that no fitting answer names is not asked.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from decisions import Draw

from choices import flax_code, jax_code, keras_code, torch_code
from choices.start import Start

# By name: the label, and the label of each value. The first value is the default.
QUESTIONS = {
    "architecture": (
        "Architecture",
        {
            "mlp": "fully connected",
            "cnn": "convolutional",
            "residual": "residual",
            "recurrent": "recurrent",
            "transformer": "Transformer like GPT-2",
            "llama": "decoder like Llama",
            "unet": "U-Net, diffusion",
            "siren": "sine network (SIREN)",
            "lora": "LoRA adapter",
            "ppo": "policy and value (PPO)",
        },
    ),
    "activation": (
        "Activation",
        {
            "relu": "ReLU, leaky ReLU",
            "gelu": "GELU",
            "silu": "SiLU",
            "tanh": "tanh",
            "sigmoid": "sigmoid",
            "selu": "SELU",
        },
    ),
    "depth": (
        "Depth",
        {"shallow": "up to 10 layers, or with BatchNorm", "deep": "more layers"},
    ),
    "normalization": ("Norms", {"yes": "with norms", "no": "without norms"}),
    "cell": ("Layer", {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN (tanh)"}),
}
FRAMEWORKS = ("initguide", "PyTorch", "Flax", "Keras", "JAX")


class Answer(NamedTuple):
    """What the chooser says: for which network, the start, the reason, links, and the snippets.

    `links` go from a text to a page below docs. `code` has a snippet for each framework.
    """

    fits: dict[str, str]
    title: str
    why: str
    links: dict[str, str]
    code: dict[str, str]


# The start of a plain network by its activation: title, reason, links.
SHALLOW = {
    "relu": (
        "He",
        "A ReLU removes half of the mean square, and the 2 in He's variance 2/fan_in restores it.",
        {"He": "guide/methods/he.md"},
    ),
    "gelu": (
        "Normal, std {gain}/√fan_in",
        "With the gain {gain}, GELU keeps a signal of size 1.",
        {"GELU and SiLU": "how-to/choose.md#smooth", "All gains": "advanced/gains.md"},
    ),
    "silu": (
        "Normal, std {gain}/√fan_in",
        "With the gain {gain}, SiLU keeps a signal of size 1.",
        {"GELU and SiLU": "how-to/choose.md#smooth", "All gains": "advanced/gains.md"},
    ),
    "tanh": (
        "Xavier, gain {gain}",
        "Xavier is a compromise between the size of the signal and the size of the gradient. "
        "The gain {gain} makes up for what tanh removes.",
        {"Xavier": "guide/methods/xavier.md"},
    ),
    "sigmoid": (
        "Xavier, gain {gain}; better: tanh",
        "The gain {gain} keeps the size, but most of it is the mean ½ of the sigmoid. "
        "Use tanh between layers if you can.",
        {"Xavier": "guide/methods/xavier.md", "All gains": "advanced/gains.md"},
    ),
    "selu": (
        "LeCun",
        "With the variance 1/fan_in, SELU brings mean and variance back to 0 and 1 by itself. "
        "This holds for deep networks too.",
        {"Best practices": "guide/best-practices.md#activation"},
    ),
}
# What depth adds to the reason.
DEEP = {
    "relu": "But each layer also makes all inputs more alike, whatever the scale. With residual "
    "branches they stay apart; LayerNorm alone does not help.",
    "gelu": "In many more than 30 layers the size slowly leaves 1, unless there are branches.",
    "silu": "In many more than 30 layers the size slowly leaves 1, unless there are branches.",
}
_ORTHOGONAL = {"Deep plain networks": "how-to/choose.md#deep"}
_DELTA = {"Delta-orthogonal": "advanced/delta-orthogonal.md"}
_SIGMOID = (
    "A sigmoid is a shifted tanh: ½ + ½ tanh(z/2). With gain 4, and biases that remove the ½ from "
    "each sum, the network computes what a tanh network with gain 1 computes. "
    "Use a small learning rate, or use tanh."
)


def answers(draws: Mapping[str, Draw]) -> list[Answer]:
    """Return all answers; `draws` has the draw of the weights by activation (see decisions.py)."""
    return [*_plain("mlp", draws), *_plain("cnn", draws), *_others()]


def fitting(found: list[Answer], chosen: Mapping[str, str]) -> Answer:
    """Return the answer to what is chosen; a question that is left out has its default."""
    for name, (_, values) in QUESTIONS.items():
        if any(name in answer.fits for answer in found):
            value = chosen.get(name, next(iter(values)))
            found = [answer for answer in found if answer.fits.get(name, value) == value]
    (answer,) = found
    return answer


def _plain(architecture: str, draws: Mapping[str, Draw]) -> Iterator[Answer]:
    for activation, draw in draws.items():
        title, why, links = SHALLOW[activation]
        title, why = (text.format(gain=f"{draw.gain:.2f}") for text in (title, why))
        fits = {"architecture": architecture, "activation": activation}
        start = Start(activation, False, draw)
        if activation == "selu":
            yield Answer(fits, title, why, links, _code(architecture, start))
            continue
        yield Answer(fits | {"depth": "shallow"}, title, why, links, _code(architecture, start))
        deep = _deep(architecture, start, title, why, links)
        yield deep._replace(fits=fits | {"depth": "deep"})


def _deep(architecture: str, s: Start, title: str, why: str, links: dict[str, str]) -> Answer:
    """Return the answer for a deep plain network."""
    if s.activation in ("tanh", "sigmoid"):
        delta = architecture == "cnn"
        start = s._replace(
            deep=True,
            draw=Draw("delta_orthogonal_" if delta else "orthogonal_", 1.0),
            shift=s.activation == "sigmoid",
        )
        kind = "Delta-orthogonal" if delta else "Orthogonal"
        title, why = (
            f"{kind}, gain 1",
            (
                "Orthogonal weights keep lengths in every draw, forward and backward. "
                "With a gain above 1 the gradient grows with depth."
            ),
        )
        if delta:
            why += " Only the centre of the kernel differs from zero."
        if start.shift:
            title, why = f"{kind}, gain 4, and shifted biases; better: tanh", _SIGMOID
        links = _DELTA if delta else _ORTHOGONAL
    else:
        start = s._replace(deep=True)
        title, why = f"{title}; better: residual branches", f"{why} {DEEP[s.activation]}"
        links = links | {"Residual branches": "guide/best-practices.md#residual"}
        if s.activation == "relu":
            links = links | {"Deep ReLU networks": "how-to/choose.md#mlp"}
    return Answer({}, title, why, links, _code(architecture, start))


def _code(network: str, *arguments: object) -> dict[str, str]:
    others = {"Flax": flax_code, "Keras": keras_code, "JAX": jax_code}
    texts = getattr(torch_code, network)(*arguments)
    return texts | {name: getattr(made, network)(*arguments) for name, made in others.items()}


def _others() -> Iterator[Answer]:
    residual = {"Best practices": "guide/best-practices.md#residual"}
    yield Answer(
        {"architecture": "residual", "normalization": "yes"},
        "He, and the last scale of each branch at zero",
        "The scale of the last norm of each branch starts at zero, so each block starts as the "
        "identity.",
        residual | {"ResNets": "how-to/choose.md#resnet"},
        _code("residual_norm"),
    )
    yield Answer(
        {"architecture": "residual", "normalization": "no"},
        "Fixup: the last layer of each branch at zero",
        "Without norms the mean squares of the branches add up. Fixup starts the last layer of "
        "each branch and the head at zero. With two layers in a branch it divides the first one "
        "by the root of the number of branches.",
        residual | {"Fixup": "examples/zhang-2019.py", "Debug": "how-to/debug.md#residual"},
        _code("residual_plain"),
    )
    recurrent = {"Layer types": "guide/layer-types.md", "Recurrent": "how-to/choose.md#recurrent"}
    gates = (
        "Each gate has orthogonal weights from the state, which keep the size of the state from "
        "step to step, and Xavier's weights from the input."
    )
    yield Answer(
        {"architecture": "recurrent", "cell": "lstm"},
        "Orthogonal by gate, Xavier inputs, forget bias log T",
        f"{gates} The forget gate gets the bias log T to remember T steps. "
        "If T is unknown, use the bias 1.",
        recurrent,
        _code("recurrent", "LSTM"),
    )
    yield Answer(
        {"architecture": "recurrent", "cell": "gru"},
        "Orthogonal by gate, Xavier inputs",
        f"{gates} All biases are zero.",
        recurrent,
        _code("recurrent", "GRU"),
    )
    yield Answer(
        {"architecture": "recurrent", "cell": "rnn"},
        "Orthogonal state weights, Xavier inputs",
        "The weights from the state are orthogonal, so they keep the size of the state from step "
        "to step. The weights from the input are Xavier's.",
        recurrent,
        _code("recurrent", "RNN"),
    )
    yield Answer(
        {"architecture": "transformer"},
        "Std 0.02, and 0.02/√N at the end of each of N branches",
        "N branches add up, so the last layer of each is divided by √N; a block has two branches. "
        "Biases are zero and norms one. Put a norm before each branch (pre-LN): in our experiment "
        "this learned better than a norm after each sum (post-LN).",
        {
            "Transformers": "how-to/choose.md#transformer",
            "The place of the norm": "examples/xiong-2020.py",
        },
        _code("transformer"),
    )
    yield Answer(
        {"architecture": "llama"},
        "Std 0.02, 0.02/√N at the end of branches, 1/√width in the head",
        "As in GPT-2, the last layer of each of N branches is divided by √N. The head is a layer "
        "of its own, and 1/√width makes the first loss close to that of a guess.",
        {
            "Llama-like decoder": "how-to/modern-networks.md#llama",
            "What big models do": "advanced/big-models.md",
        },
        _code("llama"),
    )
    yield Answer(
        {"architecture": "unet"},
        "LeCun, with zeros at the end of each block and of the network",
        "With a zero at its end, each block starts as its skip, and the first prediction is zero. "
        "A norm follows the other convolutions, so their scale matters little.",
        {"U-Net and diffusion": "how-to/modern-networks.md#diffusion"},
        _code("unet"),
    )
    yield Answer(
        {"architecture": "siren"},
        "Uniform within √(6/n)/30; first layer within 1/n",
        "A layer computes sin(30 · Wx) with n inputs. With this bound the argument of each hidden "
        "sine has variance 1.",
        {
            "Sine networks": "how-to/choose.md#sine",
            "Sitzmann 2020": "examples/sitzmann-2020.py",
        },
        _code("siren"),
    )
    yield Answer(
        {"architecture": "lora"},
        "A uniform within 1/√n, B zero",
        "The product BA starts at zero, so the adapted network starts as the pretrained one.",
        {"LoRA": "how-to/pretrained.md#lora"},
        _code("lora"),
    )
    yield Answer(
        {"architecture": "ppo"},
        "Orthogonal, gain √2; policy 0.01, value 1",
        "The small gain of the policy's last layer makes all actions about equally likely at "
        "first, so the agent explores.",
        {"Policy and value network": "how-to/modern-networks.md#ppo"},
        _code("ppo"),
    )
