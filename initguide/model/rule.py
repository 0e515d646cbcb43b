r"""A rule: which parameters of a model a law governs."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from initguide._checks import check_number
from initguide.graph.layer_info import Place


class Rule:
    r"""Which parameters a law governs.

    Args:
        pattern: The parameters' names, with the wildcards of `fnmatch`: `"*bias"`, `"head.*"`. A
            buffer is governed only by its name in full, or by a rule with `on`.
        law: A method's name (`"kaiming_normal_"`), its function, or any function that fills a
            tensor in place; if that takes a `generator`, it gets one.
        on: The kind of layer that holds the parameter, a class or several.
        before: Only in front of these activations, by the names that a plan shows.
        ends: Only in what ends a residual branch (True), or only in what does not (False).
        times: A factor for the values.
        shape_fans: Whether to take the fans from the shape alone, as torch does, and not from the
            layer.
        **options: Handed on to the law. `gain="auto"` and `nonlinearity="auto"` stand for the
            activation that follows the layer, `gain="unit"` for its gain of that
            [kind][initguide.gain] (tanh has none, and keeps its other one).

    Raises:
        TypeError: `pattern` is not a string, `law` neither a string nor a function, or `times` not
            a number.

    Source:
        The idea of pairing parameters with initializers is that of nninit, for Torch7.

    Examples:
        ```python
        import initguide as init

        print(init.Rule("*bias", "zeros_"))
        #> Rule('*bias', zeros_)
        print(init.Rule("*weight", init.kaiming_normal_, nonlinearity="auto"))
        #> Rule('*weight', kaiming_normal_, nonlinearity='auto')
        ```
    """

    def __init__(
        self,
        pattern: str,
        law: str | Callable[..., Any],
        *,
        on: type[nn.Module] | tuple[type[nn.Module], ...] = nn.Module,
        before: Sequence[str] = (),
        ends: bool | None = None,
        times: float = 1.0,
        shape_fans: bool = False,
        **options: Any,
    ) -> None:
        if not isinstance(pattern, str):
            raise TypeError(f"pattern must be a string; got {pattern!r}")
        if not (isinstance(law, str) or callable(law)):
            raise TypeError(f"law must be a name or a function; got {law!r}")
        self.pattern = pattern
        self.law = law
        self.on = on
        self.before = (before,) if isinstance(before, str) else tuple(before)
        self.ends = ends
        self.times = check_number("times", times)
        self.shape_fans = shape_fans
        self.options = options
        # For the plan's reader.
        self.note = ""

    def __repr__(self) -> str:
        """Return what the rule says, the defaults left out."""
        name = self.law if isinstance(self.law, str) else getattr(self.law, "__name__", self.law)
        said = {
            "on": self.on if self.on is not nn.Module else None,
            "before": self.before or None,
            "ends": self.ends,
            "times": self.times if self.times != 1 else None,
            "shape_fans": self.shape_fans or None,
            **self.options,
        }
        more = "".join(
            f", {key}={_said(value)}" for key, value in said.items() if value is not None
        )
        return f"Rule({self.pattern!r}, {name}{more})"

    @property
    def takes_buffers(self) -> bool:
        """Whether it may govern buffers: it names a kind of layer, or a name in full."""
        # "*bias*" means parameters; a causal mask that is called bias must stay.
        return self.on is not nn.Module or not any(sign in self.pattern for sign in "*?[")

    def governs(self, name: str, module: nn.Module, place: Place) -> bool:
        """Return whether the rule is for the parameter of that name in that module."""
        return (
            fnmatchcase(name, self.pattern)
            and isinstance(module, self.on)
            and (not self.before or place.label in self.before)
            and self.ends in (None, place.ends)
        )


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_said, value))}{',' * (len(value) == 1)})"
    return value.__name__ if isinstance(value, type) else repr(value)
