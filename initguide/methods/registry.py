"""All methods, in the order of the guide."""

from initguide.methods import (
    constant,
    delta_orthogonal,
    icnr,
    identity,
    kaiming,
    lecun,
    normal,
    orthogonal,
    sparse,
    truncated_normal,
    variance_scaling,
    xavier,
)
from initguide.methods.record import Method

METHODS: tuple[Method, ...] = (
    *constant.METHODS,
    *normal.METHODS,
    *truncated_normal.METHODS,
    *xavier.METHODS,
    *lecun.METHODS,
    *kaiming.METHODS,
    *variance_scaling.METHODS,
    *orthogonal.METHODS,
    *delta_orthogonal.METHODS,
    *identity.METHODS,
    *sparse.METHODS,
    *icnr.METHODS,
)
