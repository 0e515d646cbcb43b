"""The starts of code bases of other families: state-space models and diffusion transformers."""

from initguide.recipes.code_bases.record import ZERO, CodeBase, normal, uniform

# torch draws its linear layers and convolutions with this std, from a uniform distribution.
_TORCH = uniform("1 / sqrt(3 * n_in)")
_XAVIER = uniform("sqrt(2 / (n_in + n_out))")

OTHERS = (
    CodeBase(
        "mamba",
        "state-spaces/mamba",
        "mamba_ssm/models/mixer_seq_simple.py",
        {
            "embedding": normal("0.02"),
            "head": normal("0.02"),
            "mixer input": _TORCH,
            "conv": _TORCH,
            "conv bias": _TORCH,
            "dt": _TORCH,
            "mixer output": uniform("1 / sqrt(3 * n_in * L)"),
        },
        ("embedding", "mixer input", "conv", "dt", "mixer output"),
        note="Steps are log-uniform from 0.001 to 0.1, decays are 1, 2, 3 … and D is 1. The head "
        "is tied to the embedding.",
    ),
    CodeBase(
        "dit",
        "facebookresearch/DiT",
        "models.py",
        {
            "embedding": normal("0.02"),
            "conditioning": normal("0.02"),
            "patch": uniform("sqrt(2 / (n_in + d))"),
            "query": _XAVIER,
            "output": _XAVIER,
            "up": _XAVIER,
            "down": _XAVIER,
            "modulation": ZERO,
            "head": ZERO,
        },
        ("query", "output", "up", "down", "modulation", "head"),
        note="Xavier's uniform method in the blocks.",
    ),
)
