"""The kinds of findings: the page that explains each one, what to do, and how severe it is."""

from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Kind(NamedTuple):
    """What all findings of one kind have in common.

    Attributes:
        found_by: The functions that report it.
        page: The page that explains it, a path below `docs`.
        hint: What to do, unless the finding itself says it in numbers.
        severity: `"error"` must be fixed; `"warning"` may be meant, so look at it.
    """

    found_by: tuple[str, ...]
    page: str
    hint: str
    severity: Severity = "error"


_MEASURE, _AUDIT, _CHECK = ("measure",), ("audit",), ("check_initializer",)
_BOTH = _AUDIT + _CHECK
_COORDINATES, _TRAINING = ("coord_check",), ("measure_training",)
_COMPARE = ("compare",)
_MEANT = "save the report again if the change is meant"

# Of each function, causes come before their effects.
FINDINGS: dict[str, Kind] = {
    "non-finite values": Kind(
        _MEASURE + _TRAINING,
        "guide/what-are-initializations.md",
        "use smaller weights, or a normalization",
    ),
    "zero layer": Kind(_MEASURE, "guide/methods/constant.md", "draw the weights at random"),
    "cloned layers": Kind(
        _MEASURE,
        "guide/methods/constant.md",
        "a copied layer was not drawn anew: call initialize_",
        "warning",
    ),
    "inputs shifted": Kind(_MEASURE, "guide/methods/lsuv.md", "subtract their mean"),
    "inputs badly scaled": Kind(_MEASURE, "guide/methods/lsuv.md", "divide them by their std"),
    "dead units": Kind(_MEASURE, "guide/best-practices.md", "zero the bias"),
    "symmetric units": Kind(_MEASURE, "guide/methods/constant.md", "draw the weights at random"),
    "saturated units": Kind(_MEASURE, "guide/methods/xavier.md", "use smaller weights", "warning"),
    "odd layer": Kind(_MEASURE, "guide/visualizing.md", "draw this layer as the others", "warning"),
    "large factor": Kind(
        _MEASURE, "guide/best-practices.md", "start a factor at 1, and a table at the signal's size"
    ),
    "state forgotten": Kind(
        _MEASURE,
        "guide/best-practices.md",
        "set the bias so that the softplus gives steps from 0.001 to 0.1",
    ),
    "residual sums grow": Kind(
        _MEASURE,
        "guide/best-practices.md",
        # Of the two, only the first allows an update of the usual size.
        "zero the last layer of each branch, as the recipe 'fixup' does, or divide it by "
        "sqrt(branches)",
    ),
    "signal vanishes": Kind(_MEASURE, "guide/methods/he.md", "use initialize_ or a normalization"),
    "signal explodes": Kind(
        _MEASURE, "guide/methods/random.md", "use initialize_ or a normalization"
    ),
    "input ignored": Kind(_MEASURE, "guide/visualizing.md", "zero the biases"),
    "gradient vanishes": Kind(
        _MEASURE, "guide/what-are-initializations.md", "use initialize_ or a normalization"
    ),
    "gradient explodes": Kind(
        _MEASURE, "guide/what-are-initializations.md", "use initialize_ or a normalization"
    ),
    "large outputs": Kind(
        _MEASURE, "guide/layer-types.md", "use smaller weights in the last layer"
    ),
    "raises": Kind(
        _CHECK,
        "guide/exercises.md",
        "let it take every shape, or say with shapes= which ones it is for",
    ),
    "wrong return": Kind(
        _CHECK, "guide/exercises.md", "return the tensor that was given, or a NumPy array"
    ),
    "not in place": Kind(
        _CHECK, "guide/exercises.md", "write into the tensor: tensor.copy_(…), tensor.normal_(…)"
    ),
    "returns nothing": Kind(_CHECK, "guide/exercises.md", "end with: return tensor", "warning"),
    "wrong shape": Kind(_CHECK, "guide/exercises.md", "look at transposes and reshapes"),
    "wrong dtype": Kind(
        _CHECK, "guide/exercises.md", "keep the tensor's dtype, or the one asked for"
    ),
    "gradient broken": Kind(
        _CHECK, "guide/exercises.md", "write under torch.no_grad(), and leave the tensor a leaf"
    ),
    "generator ignored": Kind(
        _CHECK, "guide/exercises.md", "pass generator= (or rng=) on to every random call"
    ),
    "global state moved": Kind(
        _CHECK, "guide/exercises.md", "draw from the generator alone, and seed nothing"
    ),
    "same values each call": Kind(
        _CHECK, "guide/exercises.md", "seed nothing inside: the caller's generator decides"
    ),
    "identity misplaced": Kind(
        _CHECK,
        "advanced/identity.md",
        "output i copies input i, at the kernel's centre k // 2",
    ),
    "clones": Kind(
        _CHECK,
        "guide/methods/constant.md",
        "draw each row by itself: units that start equal stay equal",
    ),
    "blocks misplaced": Kind(
        _CHECK,
        "advanced/icnr.md",
        "a block's channels are neighbors: use repeat_interleave, not cat or tile",
    ),
    "zeros misplaced": Kind(
        _CHECK,
        "advanced/delta-orthogonal.md",
        "choose the places of the zeros as the method does",
    ),
    "sparse by the wrong side": Kind(
        _CHECK,
        "advanced/sparse.md",
        "of (out, in), a row holds a unit's inputs, and a column holds an input's units",
    ),
    "sparsity": Kind(
        _CHECK, "advanced/sparse.md", "count the connections of one unit, and of one input"
    ),
    "wrong side": Kind(
        _CHECK,
        "guide/methods/orthogonal.md",
        "decompose the tall one of the matrix (out, in * kernel) and its transpose",
    ),
    "not Haar": Kind(
        _CHECK, "guide/methods/orthogonal.md", "multiply Q's columns by the signs of R's diagonal"
    ),
    "fan ignored": Kind(_CHECK, "guide/methods/random.md", "divide the variance by the fan"),
    "entries dependent": Kind(
        _CHECK,
        "guide/methods/random.md",
        "draw each weight by itself, and normalize nothing afterwards",
    ),
    "untouched memory": Kind(_AUDIT, "how-to/large-models.md", "initialize it after to_empty"),
    "torch default": Kind(
        _AUDIT, "guide/framework-defaults.md", "initialize this layer too: was it skipped?"
    ),
    "constant rows": Kind(
        _AUDIT,
        "guide/methods/constant.md",
        "draw each weight by itself: units that start equal stay equal",
        "warning",
    ),
    "constant columns": Kind(
        _AUDIT, "guide/methods/constant.md", "draw each weight by itself", "warning"
    ),
    "identical": Kind(
        _AUDIT, "guide/methods/constant.md", "draw each parameter by itself", "warning"
    ),
    "replicas differ": Kind(
        _AUDIT, "how-to/ci.md", "draw them with one seed, or send those of the first rank"
    ),
    "padding": Kind(_AUDIT, "guide/layer-types.md", "zero the row of the padding index"),
    "wrong fans": Kind(
        _AUDIT,
        "guide/layer-types.md",
        "groups, strides and packed gates change the fans: see layer_fans",
    ),
    "not finite": Kind(
        _BOTH, "guide/exercises.md", "write every entry, and look for divisions by zero"
    ),
    "wrong values": Kind(
        _BOTH, "guide/methods/constant.md", "compare a few values by hand with the right ones"
    ),
    "constant": Kind(
        _BOTH,
        "guide/methods/constant.md",
        "draw each weight by itself: units that start equal stay equal",
    ),
    "not orthogonal": Kind(
        _BOTH, "guide/methods/orthogonal.md", "take Q of a QR decomposition of a Gaussian matrix"
    ),
    "mean": Kind(
        _BOTH,
        "guide/methods/random.md",
        "center the distribution: a uniform one goes from -bound to bound",
    ),
    "fans swapped": Kind(
        _BOTH, "guide/layer-types.md", "fan_in is shape[1] of (out, in), shape[0] of (in, out)"
    ),
    "wrong layout": Kind(
        _BOTH,
        "guide/layer-types.md",
        "(*kernel, in, out) has its fans at the end, (out, in, *kernel) at the front",
    ),
    "kernel ignored": Kind(
        _BOTH, "guide/layer-types.md", "multiply both fans by the number of places in the kernel"
    ),
    "fan averaged": Kind(_BOTH, "guide/methods/xavier.md", "divide by that one fan alone"),
    "one fan": Kind(_BOTH, "guide/methods/xavier.md", "divide by the mean of both fans"),
    "gain missing": Kind(_BOTH, "guide/methods/he.md", "multiply the std by the gain"),
    "gain squared": Kind(_BOTH, "guide/methods/he.md", "multiply the std by the gain once"),
    "gain wrong": Kind(_BOTH, "guide/methods/he.md", "calculate the std for one shape by hand"),
    "gain under the root": Kind(
        _BOTH,
        "advanced/variance-scaling.md",
        "std = gain / sqrt(fan): only the fan is under the root",
    ),
    "square root missing": Kind(
        _BOTH, "guide/methods/random.md", "the formula gives the variance: take its root"
    ),
    "square root twice": Kind(_BOTH, "guide/methods/random.md", "that is a std already"),
    "std used as bound": Kind(
        _BOTH,
        "guide/methods/random.md",
        "a uniform distribution of a given std has the bound sqrt(3) * std",
    ),
    "bound used as std": Kind(
        _BOTH,
        "guide/methods/random.md",
        "the std is the bound of the uniform distribution, divided by sqrt(3)",
    ),
    "std wrong": Kind(_BOTH, "guide/methods/random.md", "calculate the std for one shape by hand"),
    "truncation uncorrected": Kind(
        _BOTH,
        "advanced/truncated-normal.md",
        "a cut at two std takes 12 % of the std: divide by 0.8796 first",
    ),
    "truncation absolute": Kind(
        _BOTH,
        "advanced/truncated-normal.md",
        "give bounds in units of the std: a=-2 * std, b=2 * std",
    ),
    "truncated for normal": Kind(_BOTH, "advanced/truncated-normal.md", "do not cut the tails"),
    "truncated for uniform": Kind(
        _BOTH, "advanced/truncated-normal.md", "draw from a uniform distribution"
    ),
    "uniform for normal": Kind(_BOTH, "guide/methods/random.md", "draw from a normal distribution"),
    "uniform for truncated": Kind(
        _BOTH, "guide/methods/random.md", "draw from a normal distribution, cut at two std"
    ),
    "normal for uniform": Kind(
        _BOTH, "guide/methods/random.md", "draw from a uniform distribution, of bound sqrt(3) * std"
    ),
    "wrong distribution": Kind(_BOTH, "guide/methods/random.md", "compare the histograms"),
    "added": Kind(_COMPARE, "how-to/ci.md", _MEANT),
    "removed": Kind(_COMPARE, "how-to/ci.md", _MEANT),
    "changed": Kind(_COMPARE, "how-to/ci.md", _MEANT),
    "signal grows": Kind(
        _COORDINATES, "how-to/coordinate-check.md", "draw with a std of about 1/sqrt(fan_in)"
    ),
    "update grows": Kind(
        _COORDINATES, "how-to/coordinate-check.md", "lower the learning rate as the width grows"
    ),
    "update shrinks": Kind(
        _COORDINATES,
        "how-to/coordinate-check.md",
        "raise the learning rate or a multiplier",
        "warning",
    ),
    "not in the optimizer": Kind(
        _TRAINING,
        "how-to/training.md",
        "add it to the optimizer, or freeze it",
    ),
    "no gradient": Kind(
        _TRAINING,
        "how-to/training.md",
        "look for detach, no_grad or dead units between this layer and the loss",
    ),
    "updates too small": Kind(
        _TRAINING,
        "how-to/training.md",
        "raise the learning rate; if a schedule warms it up, measure at its peak",
        "warning",
    ),
    "updates too large": Kind(
        _TRAINING, "how-to/training.md", "lower the learning rate, or warm up"
    ),
    "units die": Kind(_TRAINING, "guide/best-practices.md", "lower the learning rate"),
    "signal drifts": Kind(
        _TRAINING,
        "guide/best-practices.md",
        "lower the learning rate, or use a normalization",
        "warning",
    ),
    "training diverges": Kind(
        _TRAINING, "how-to/training.md", "lower the learning rate, warm up, or clip the gradient"
    ),
}
"""The kinds of findings, each with `found_by`, `page`, `hint` and `severity`.

`found_by` holds the names of the functions that report it. An `"error"` must be fixed. A
`"warning"` may be meant, so look at it.
"""
