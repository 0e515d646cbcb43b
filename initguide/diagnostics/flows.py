"""Which layers feed which, recorded while the model runs.

Each tensor of the run has a `Flow`: the layers whose outputs reach it without passing another
layer. Sets of layers are bitmasks. Bit 0 means the inputs of the model, and bit i + 1 the
layer with index i. So the forward itself shows which layers are heads, and which residual branches
there are, also where it cannot be traced.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

INPUTS = 1


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the values of a tensor come from.

    Attributes:
        sources: The layers whose outputs reach it without passing another layer.
        parameters: The parameters that it was computed from, the largest first, if it was computed
            from nothing else.
        normed: Whether a norm came after the last layer.
        shift: The parameter that was added last, if it is a vector.
        meaning: "size" is a std or a norm of a signal. "step" is a softplus, as of a state-space
            model, and "exponent" its product with a parameter.
        step: The layers that give the step, and its mean.
        kept: The share of the state that a step keeps, by the median of the exponents.
    """

    sources: int = 0
    parameters: tuple[str, ...] = ()
    normed: bool = False
    shift: str = ""
    meaning: str = ""
    step: tuple[int, Tensor] | None = None
    kept: Tensor | None = None


@dataclass
class Flows:
    """The flows of all tensors of a run, and the graph of layers that they give.

    Attributes:
        known: The flow of each tensor that is still alive.
        feeds: For each bit, the layers that feed it.
        ancestors: For each bit, all layers before it.
        branches: The residual branch of a layer, by its bit.
        within: The branch around an inner branch, by their numbers.
        ends: The layers that end a branch.
        again: The layers that were called again with a tensor computed from their own output.
        followed: The layers that feed another layer.
    """

    known: WeakIdKeyDictionary = field(default_factory=WeakIdKeyDictionary)
    feeds: list[int] = field(default_factory=lambda: [0])
    ancestors: list[int] = field(default_factory=lambda: [0])
    branches: dict[int, int] = field(default_factory=dict)
    within: dict[int, int] = field(default_factory=dict)
    ends: int = 0
    again: int = 0
    followed: int = 0

    def of(self, tensor: Tensor) -> Flow:
        """Return the flow of a tensor; one of unknown origin counts as the last layer's output."""
        found = self.known.get(tensor)
        return Flow(1 << len(self.feeds) - 1) if found is None else found

    def join(self, given: Iterable[Tensor]) -> Flow:
        """Return the flow of a tensor that is computed from others."""
        pairs = [(self.of(each), each.numel()) for each in given]
        signals = [flow for flow, _ in pairs if flow.sources]
        if len(signals) == 1:
            return signals[0]
        if not signals:
            pairs.sort(key=lambda pair: -pair[1])
            return Flow(parameters=tuple(name for flow, _ in pairs for name in flow.parameters))
        sources = 0
        for flow in signals:
            sources |= flow.sources
        return Flow(sources, normed=all(flow.normed for flow in signals))

    def add_layer(self, sources: int) -> int:
        """Return the bit of a new layer, which reads from these sources."""
        self.followed |= sources
        self.feeds.append(sources)
        self.ancestors.append(self._up_to(sources))
        return len(self.feeds) - 1

    def call_again(self, bit: int, sources: int) -> None:
        """Record a further call of a layer."""
        above = self._up_to(sources)
        if above >> bit & 1:
            self.again |= 1 << bit
        self.followed |= sources
        self.feeds[bit] |= sources & ~(1 << bit)
        self.ancestors[bit] |= above & ~(1 << bit)

    def is_passed_by(self, bit: int) -> bool:
        """Return whether a signal leads around a layer, within its own residual branch."""
        branch, before = self.branches.get(bit), self.ancestors[bit]
        start = sum(1 << each for each in bits(before) if self._same(each, branch))
        return any(
            self.ancestors[later] >> bit & 1 and self.feeds[later] & start
            for later in range(bit + 1, len(self.feeds))
            if branch is None or self._same(later, branch)
        )

    def _same(self, bit: int, branch: int | None) -> bool:
        return bit > 0 and self.branches.get(bit) == branch

    def add_sum(self, one: int, other: int) -> None:
        """Record a sum of two signals: a residual sum if one was computed from the other."""
        if not one or not other or (one | other) & self.again:
            return
        for skip, branch in ((one, other), (other, one)):
            last = branch & ~skip
            # In `x * (1 + scale) + shift` one layer gives both, and the shift is no skip.
            is_apart = not branch & skip
            if last and all(self._is_around(skip, bit, is_apart) for bit in bits(last)):
                self._add_branch(skip, last)
                return

    def _is_around(self, skip: int, bit: int, is_apart: bool) -> bool:
        """Return whether a skip leads around the branch that ends in a layer.

        Args:
            skip: The layers that the skip reads.
            bit: The last layer of the branch.
            is_apart: Whether the branch does not end in these layers too.
        """
        before = self.ancestors[bit]
        # An earlier branch in parallel, as of attention beside an MLP, is in the sum already.
        if skip & before and not skip & ~before & ~self.ends:
            return True
        # A skip may hold one layer, which changes the size, if the branch holds more.
        is_one = is_apart and not skip & (skip - 1)
        start = self.feeds[skip.bit_length() - 1] if is_one else 0
        return bool(start) and not start & ~before and bool(before & ~self._up_to(start))

    def _up_to(self, mask: int) -> int:
        """Return these layers and all layers before them."""
        found = mask
        for bit in bits(mask):
            found |= self.ancestors[bit]
        return found

    def _add_branch(self, skip: int, last: int) -> None:
        number = len(self.branches)
        for bit in bits(self._up_to(last) & ~self._up_to(skip) & ~INPUTS):
            # The members of an inner branch do not belong to the outer one.
            inner = self.branches.setdefault(bit, number)
            if inner != number:
                self.within.setdefault(inner, number)
        self.ends |= last


def bits(mask: int) -> Iterator[int]:
    """Yield the positions of the ones in a bitmask."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
