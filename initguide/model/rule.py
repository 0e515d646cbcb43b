"""A rule: which parameters of a model are initialized by which method."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from initguide._checks import check_number
from initguide.graph.layer_info import LayerInfo


class Rule:
    r"""Initialize some parameters of a model by one method.

    $$w \leftarrow \text{times} \cdot \text{law}(\text{options})$$

    Args:
        pattern: The parameters' names, with the wildcards of `fnmatch`: `"*bias"`, `"head.*"`. A
            buffer is matched only by its full name, or by a rule with `on`.
        law: A method's name (`"kaiming_normal_"`), its function, or any function that fills a
            tensor in place. If the function takes a `generator`, it gets one.
        on: The class of the layer that holds the parameter, or a tuple of classes.
        before: Only layers that one of these activations follows, by the names that a plan shows.
        ends: Only layers that end a residual branch (True), or only the others (False).
        times: A factor for the values.
        shape_fans: Whether to take the fans from the shape alone, as torch does, and not from the
            layer.
        **options: Options of the method. `gain="auto"` and `nonlinearity="auto"` take the
            activation that follows the layer, `gain="unit"` takes the [gain][initguide.gain] that
            keeps a unit second moment (tanh has none, and takes its usual gain).

    Raises:
        TypeError: `pattern` is not a string, `law` is not a string or a function, or `times` is not
            a number.

    Source:
        nninit, a package for Torch7, had the idea to pair parameters with initializers.

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
        # A remark that the plan shows beside each parameter that the rule matches.
        self.note = ""

    def __repr__(self) -> str:
        """Return the call that makes the rule, without defaults."""
        name = self.law if isinstance(self.law, str) else getattr(self.law, "__name__", self.law)
        arguments = {
            "on": self.on if self.on is not nn.Module else None,
            "before": self.before or None,
            "ends": self.ends,
            "times": self.times if self.times != 1 else None,
            "shape_fans": self.shape_fans or None,
            **self.options,
        }
        more = "".join(
            f", {key}={_format(value)}" for key, value in arguments.items() if value is not None
        )
        return f"Rule({self.pattern!r}, {name}{more})"

    @property
    def takes_buffers(self) -> bool:
        """Whether it may match buffers: it names a class of layer, or a full name."""
        # "*bias*" is meant for parameters. A causal mask called "bias" must stay.
        return self.on is not nn.Module or not any(sign in self.pattern for sign in "*?[")

    def matches(self, name: str, module: nn.Module, info: LayerInfo) -> bool:
        """Return whether the rule matches the parameter of that name in that module."""
        return (
            isinstance(module, self.on)
            and fnmatchcase(name, self.pattern)
            and (not self.before or info.label in self.before)
            and self.ends in (None, info.ends)
        )


def _format(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_format, value))}{',' * (len(value) == 1)})"
    return value.__name__ if isinstance(value, type) else repr(value)
