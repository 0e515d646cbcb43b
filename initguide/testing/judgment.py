"""What is said of an initializer: the kinds of fault, each with its cure and its page."""

import html
from dataclasses import dataclass

from initguide._format import html_list, wrapped

FAULTS: dict[str, str] = {
    "raises": "guide/exercises.md",
    "wrong return": "guide/exercises.md",
    "not in place": "guide/exercises.md",
    "returns nothing": "guide/exercises.md",
    "wrong shape": "guide/exercises.md",
    "wrong dtype": "guide/exercises.md",
    "not finite": "guide/exercises.md",
    "gradient broken": "guide/exercises.md",
    "generator ignored": "guide/exercises.md",
    "global state moved": "guide/exercises.md",
    "same values each call": "guide/exercises.md",
    "wrong values": "guide/methods/constant.md",
    "identity misplaced": "guide/methods/identity.md",
    "constant": "guide/methods/constant.md",
    "clones": "guide/methods/constant.md",
    "blocks misplaced": "guide/methods/icnr.md",
    "zeros misplaced": "guide/methods/delta-orthogonal.md",
    "sparse by the wrong side": "guide/methods/sparse.md",
    "sparsity": "guide/methods/sparse.md",
    "not orthogonal": "guide/methods/orthogonal.md",
    "wrong side": "guide/methods/orthogonal.md",
    "not Haar": "guide/methods/orthogonal.md",
    "mean": "guide/methods/random.md",
    "fans swapped": "guide/layer-types.md",
    "wrong layout": "guide/layer-types.md",
    "kernel ignored": "guide/layer-types.md",
    "fan averaged": "guide/methods/xavier.md",
    "one fan": "guide/methods/xavier.md",
    "fan ignored": "guide/methods/random.md",
    "gain missing": "guide/methods/he.md",
    "gain squared": "guide/methods/he.md",
    "gain under the root": "guide/methods/variance-scaling.md",
    "gain wrong": "guide/methods/he.md",
    "square root missing": "guide/methods/random.md",
    "square root twice": "guide/methods/random.md",
    "std used as bound": "guide/methods/random.md",
    "bound used as std": "guide/methods/random.md",
    "std wrong": "guide/methods/random.md",
    "truncation uncorrected": "guide/methods/truncated-normal.md",
    "truncation absolute": "guide/methods/truncated-normal.md",
    "truncated for normal": "guide/methods/truncated-normal.md",
    "truncated for uniform": "guide/methods/truncated-normal.md",
    "uniform for normal": "guide/methods/random.md",
    "uniform for truncated": "guide/methods/random.md",
    "normal for uniform": "guide/methods/random.md",
    "wrong law": "guide/methods/random.md",
    "entries dependent": "guide/methods/random.md",
}
"""The kinds of fault, causes first, each with the page that explains it, a path below `docs`."""

HINTS: dict[str, str] = {
    "raises": "let it take every shape, or say with shapes= which ones it is for",
    "wrong return": "return the tensor that was given, or a NumPy array",
    "not in place": "write into the tensor: tensor.copy_(…), tensor.normal_(…)",
    "returns nothing": "end with: return tensor",
    "wrong shape": "look at transposes and reshapes",
    "wrong dtype": "keep the tensor's dtype, or the one asked for",
    "not finite": "write every entry, whatever was there before, and look for divisions by zero",
    "gradient broken": "write under torch.no_grad(), and leave the tensor a leaf",
    "generator ignored": "hand generator= (or rng=) on to every random call",
    "global state moved": "draw from the generator alone, and seed nothing",
    "same values each call": "seed nothing inside: the caller's generator decides",
    "wrong values": "compare one small matrix by eye",
    "identity misplaced": "output i copies input i, at the kernel's centre k // 2",
    "constant": "draw each weight by itself: units that start equal stay equal",
    "clones": "draw each row by itself: units that start equal stay equal",
    "blocks misplaced": "a block's channels are neighbors: repeat_interleave, not cat or tile",
    "zeros misplaced": "choose the places of the zeros as the method does",
    "sparse by the wrong side": "of (out, in), a row is a unit's inputs, a column an input's units",
    "sparsity": "count the connections of one unit, and of one input",
    "not orthogonal": "take Q of a QR decomposition of a Gaussian matrix",
    "wrong side": "decompose the tall one of the matrix (out, in * kernel) and its transpose",
    "not Haar": "multiply Q's columns by the signs of R's diagonal",
    "mean": "center the law: a uniform one goes from -bound to bound",
    "fans swapped": "fan_in is shape[1] of (out, in), shape[0] of (in, out)",
    "wrong layout": "(*kernel, in, out) has its fans at the end, (out, in, *kernel) at the front",
    "kernel ignored": "multiply both fans by the number of places in the kernel",
    "fan averaged": "divide by that one fan alone",
    "one fan": "divide by the mean of both fans",
    "fan ignored": "divide the variance by the fan",
    "gain missing": "multiply the std by the gain",
    "gain squared": "multiply the std by the gain once",
    "gain under the root": "std = gain / sqrt(fan): only the fan is under the root",
    "gain wrong": "work the std out for one shape by hand",
    "square root missing": "the law gives the variance: take its root",
    "square root twice": "that is a std already",
    "std used as bound": "a uniform law of a given std has the bound sqrt(3) * std",
    "bound used as std": "the std is the bound of the uniform law, divided by sqrt(3)",
    "std wrong": "work the std out for one shape by hand",
    "truncation uncorrected": "a cut at two std takes 12 % of the std: divide by 0.8796 first",
    "truncation absolute": "give bounds in units of the std: a=-2 * std, b=2 * std",
    "truncated for normal": "do not cut the tails",
    "truncated for uniform": "draw from a uniform law",
    "uniform for normal": "draw from a normal law",
    "uniform for truncated": "draw from a normal law, cut at two std",
    "normal for uniform": "draw from a uniform law, of bound sqrt(3) * std",
    "wrong law": "compare the histograms",
    "entries dependent": "draw each weight by itself, and normalize nothing afterwards",
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with an initializer.

    Attributes:
        kind: One of the keys of [FAULTS][initguide.FAULTS].
        words: The rule, and what was found instead.
        hint: What to do.
        page: The guide's page that explains it, a path below `docs`.
    """

    kind: str
    words: str
    hint: str
    page: str

    def __str__(self) -> str:
        """Return all of it in a line."""
        return f"{self.kind}: {self.words}. Hint: {self.hint} ({self.page})"


@dataclass(frozen=True)
class Judgment:
    """What [check_initializer][initguide.check_initializer] found; print it.

    Attributes:
        name: The function's name.
        like: The name of what it was compared with.
        faults: What is wrong, causes first; empty for a right one.
        checked: What was compared, in words.
    """

    name: str
    like: str
    faults: tuple[Fault, ...]
    checked: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.faults

    @property
    def _head(self) -> str:
        return f"{self.name} is {'' if self.ok else 'not '}like {self.like}"

    @property
    def _lines(self) -> tuple[str, ...]:
        return self.checked if self.ok else tuple(map(str, self.faults))

    def __str__(self) -> str:
        """Return the faults in words, or what was checked."""
        return "\n".join([self._head, *wrapped(self._lines, "- ", "  ")])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        return f"<p>{html.escape(self._head)}</p>{html_list(self._lines)}"

    def assert_ok(self) -> None:
        """Raise AssertionError, with the faults' words, if there are any; for tests."""
        if self.faults:
            raise AssertionError(str(self))


def fault(kind: str, words: str) -> Fault:
    """Return a fault of some kind, with its hint and its page."""
    return Fault(kind, words, HINTS[kind], FAULTS[kind])
