r"""The class prior as the output bias: the first prediction is the frequency of each class.

While the weights of the output layer (the head) are small, the logits are nearly its bias. With a
zero bias every class gets the same probability, and the first training steps only learn how
frequent each class is. Set $b_k = \log \pi_k$ instead, where $\pi_k$ is the frequency of class $k$.
Then the softmax returns $\pi$ from the start, and the loss starts at the entropy
$H(\pi) = -\sum_k \pi_k \log \pi_k$. This is the smallest loss of a prediction that does not use the
input.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Counts = Sequence[float] | float | NDArray[np.number] | Tensor
"""How often the classes occur: counts or shares."""

Head = TypeVar("Head", Tensor, nn.Module)


def class_prior_bias(counts: Counts) -> NDArray[np.float64]:
    r"""Return the output bias with which the first prediction is the frequency of each class.

    $$b_k = \log\frac{n_k}{\sum_j n_j} \quad\text{(softmax)}, \qquad
    b = \log\frac{\pi}{1 - \pi} \quad\text{(sigmoid)}$$

    The prediction is exact if the weights of the output layer are zero, and nearly exact while they
    are small.

    Args:
        counts: If the output is a softmax: the number of samples of each class, shape
            `(classes,)`. Weighted or smoothed counts (`counts + 1`) and frequencies work too. If
            the output is one sigmoid unit: the share $\pi$ of positive samples, between 0 and 1.

    Returns:
        An array of shape `(classes,)`, or `(1,)` for a sigmoid.

    Raises:
        ValueError: A count is zero, negative, NaN or infinite, the share is not between 0 and 1, or
            the counts are not one-dimensional.

    Source:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár (2017), *Focal Loss for Dense Object
        Detection*, section 3.3 (a rare class and a sigmoid).

    Examples:
        ```python
        import initguide as init

        print(init.class_prior_bias([900, 90, 10]).round(3))
        #> [-0.105 -2.408 -4.605]
        print(init.class_prior_bias(0.01).round(3))
        #> [-4.595]
        ```
    """
    if isinstance(counts, Tensor):
        counts = counts.detach().cpu().double().numpy()
    values = np.atleast_1d(np.asarray(counts, dtype=np.float64))
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"counts must be one number per class; got shape {values.shape}")
    if values.size == 1:
        if not 0 < values[0] < 1:
            raise ValueError(f"the share of positives must be between 0 and 1; got {values[0]}")
        return np.log(values) - np.log1p(-values)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            f"counts must be positive and finite, because log 0 is infinite; got {values.tolist()}"
        )
    # Divided by the largest count first, so that the sum of huge counts stays finite.
    scaled = values / values.max()
    return np.log(scaled) - np.log(scaled.sum())


def class_prior_bias_(head: Head, counts: Counts) -> Head:
    r"""Fill an output bias so that the first prediction is the frequency of each class.

    $$b_k = \log\frac{n_k}{\sum_j n_j} \quad\text{(softmax)}, \qquad
    b = \log\frac{\pi}{1 - \pi} \quad\text{(sigmoid)}$$

    Args:
        head: The output layer, or its bias, a tensor of shape `(classes,)`.
        counts: The number of samples of each class, or the share of positive samples for one
            sigmoid unit, as in [class_prior_bias][initguide.class_prior_bias].

    Returns:
        `head`, its bias changed in place.

    Raises:
        TypeError: `head` is not a tensor and not a module with a bias.
        ValueError: [class_prior_bias][initguide.class_prior_bias] does not accept the counts, or
            their number is not the number of entries of the bias.

    Source:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár (2017), *Focal Loss for Dense Object
        Detection*, section 3.3.

    Examples:
        ```python
        import torch

        import initguide as init

        head = torch.nn.Linear(20, 3)
        init.zeros_(head.weight)
        init.class_prior_bias_(head, [900, 90, 10])
        print([round(p, 3) for p in head(torch.ones(20)).softmax(0).tolist()])
        #> [0.9, 0.09, 0.01]
        ```
    """
    bias = getattr(head, "bias", None) if isinstance(head, nn.Module) else head
    if not isinstance(bias, Tensor):
        raise TypeError(f"head must be a tensor or a module with a bias; got {head!r}")
    if not bias.is_floating_point():
        raise TypeError(f"the bias must have a floating-point dtype; got {bias.dtype}")
    values = torch.from_numpy(class_prior_bias(counts))
    if bias.shape != values.shape:
        raise ValueError(
            f"the bias must have one entry for each of the {len(values)} counts; "
            f"got shape {tuple(bias.shape)}"
        )
    with torch.no_grad():
        bias.copy_(values)
    return head
