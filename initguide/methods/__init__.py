"""The methods, one file each; METHODS lists their records in the order of the guide."""

from initguide.method import Method
from initguide.methods import constant, kaiming, lecun, normal, orthogonal, truncated, xavier

METHODS: tuple[Method, ...] = (
    *constant.METHODS,
    *normal.METHODS,
    *truncated.METHODS,
    *xavier.METHODS,
    *lecun.METHODS,
    *kaiming.METHODS,
    *orthogonal.METHODS,
)
