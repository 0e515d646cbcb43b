"""The bibliography: its keys, and the form of its entries."""

import re

from initguide.papers import PAPERS


def test_a_key_is_the_first_author_and_the_year():
    for key, paper in PAPERS.items():
        assert re.fullmatch(rf"[a-z]+{paper.year}[a-z]?", key), paper
