"""Proxies: which arguments a forward gets, and into how many parts it takes a tensor apart."""

import pytest
from torch import fx, nn

from initguide.graph.proxies import _part_count, argument_choices


def test_the_required_arguments_come_first_then_more_and_more_others():
    class Many(nn.Module):
        def forward(self, x, y, *rest, mask=None, scale=1.0, cache=None, places=None, **more):
            return x

    choices = [*argument_choices(Many())]
    assert choices == [
        ("x", "y"),
        ("x", "y", "mask"),
        ("x", "y", "cache"),
        ("x", "y", "places"),
        ("x", "y", "mask", "cache"),
        ("x", "y", "mask", "cache", "places"),
        None,
    ]
    own = Many()
    own.forward = lambda x=None, mask=None, a=None: x
    assert [*argument_choices(own)] == [("x",), ("x", "mask"), ("x", "a"), ("x", "mask", "a")]


PARTS = {
    # Sizes give a part each, and cuts one part more than there are.
    "sizes": (("split", [2, 3, 4]), {}, 3),
    "sizes and an axis": (("split", (2, 3), -1), {}, 2),
    "sizes by name": (("split",), {"split_size": [2, 3], "dim": 1}, 2),
    "an axis before": (("split",), {"dim": 1, "split_size": [2, 3, 5]}, 3),
    "one size": (("split", 4), {}, 0),
    "other sizes": (("split_with_sizes", [1, 2]), {}, 2),
    "cuts": (("tensor_split", (2, 4)), {}, 3),
    "cuts by name": (("tensor_split",), {"indices": [2]}, 2),
    "a number of parts": (("tensor_split", 3), {}, 3),
    "chunks": (("chunk", 2, -1), {}, 2),
    "chunks by name": (("chunk",), {"chunks": 4, "dim": 1}, 4),
    "a list of chunks": (("chunk", [2]), {}, 0),
    "slices": (("unbind", 1), {}, 0),
    "nothing": (("unbind",), {}, 0),
}


@pytest.mark.parametrize(("call", "options", "count"), PARTS.values(), ids=PARTS)
def test_the_arguments_tell_how_many_parts_there_are(call, options, count):
    graph, (name, *args) = fx.Graph(), call
    x = graph.placeholder("x")
    assert _part_count(graph.call_method(name, (x, *args), options)) == count
