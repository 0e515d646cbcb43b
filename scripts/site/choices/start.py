"""What the snippets of a plain network are made from: a row of the decision table, and more."""

from typing import NamedTuple

from decisions import Draw


class Start(NamedTuple):
    """A plain network's activation, its depth, and how its hidden weights are drawn.

    `shift` gives each layer a bias that removes the mean ½ of the sigmoids below it.
    """

    activation: str
    deep: bool
    draw: Draw
    shift: bool = False


def joined(*parts: str) -> str:
    """Return the parts of a snippet as one text, without the empty ones."""
    return "\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
