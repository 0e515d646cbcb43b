"""The recipe of low-rank adapters: the first factor random, the second one zero.

PiSSA, OLoRA and other methods compute the factors from the weight that they adapt, and change that
weight. A rule sees one parameter at a time, so they are no recipes here.
"""

from torch import nn

from initguide.graph.trace import Trace
from initguide.model.rule import Rule
from initguide.recipes.one_method import keep


def lora(model: nn.Module, trace: Trace) -> list[Rule]:
    r"""Return the rules: A uniform within $1/\sqrt{n}$, B zero, everything else unchanged.

    The factors are found by the names `lora_A` and `lora_B`, in any case, which the common
    libraries share. In the adapter of an embedding the first factor is zero, and the second one
    normal (E. J. Hu et al., 2022, LoRA: Low-Rank Adaptation of Large Language Models; the
    distributions are those of microsoft/LoRA).
    """
    names = [name.lower().replace("_embedding", "") for name, _ in model.named_parameters()]
    for role in ("lora_a", "lora_b"):
        if not any(role in name for name in names):
            raise ValueError(
                f"recipe 'lora' needs a parameter with the role {role!r}, by its name; got none"
            )
    return [
        Rule("*lora_embedding_A*", "zeros_"),
        Rule("*lora_embedding_B*", "normal_", std=1.0),
        Rule("*lora_[aA]*", "kaiming_uniform_", a=5**0.5),
        Rule("*lora_[bB]*", "zeros_"),
        *keep(model, trace),
    ]
