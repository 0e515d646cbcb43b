r"""Recurrent layers: Xavier input weights, orthogonal state weights, a positive forget bias.

The state is multiplied by the hidden-to-hidden weights in every time step. So it grows or shrinks
with their singular values to the power of the number of steps. An orthogonal matrix has singular
values of 1 and keeps the size of the state. The input is multiplied by its weights only once, and
Xavier's variance is enough for them.

An LSTM multiplies its memory by the forget gate in every step. A gate of $\operatorname{sigmoid}(0)
= \tfrac12$ halves the memory in one step. A gate of $\operatorname{sigmoid}(1) = 0.73$ needs 2.2
steps to halve it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from initguide.layers.gates import per_gate_
from initguide.methods.constant import zeros_
from initguide.methods.orthogonal import orthogonal_
from initguide.methods.xavier import xavier_uniform_

Recurrent = nn.RNNBase | nn.RNNCellBase
"""A recurrent layer, or a cell of one."""


def forget_bias(hidden: int, value: float = 1.0) -> NDArray[np.float64]:
    r"""Return the bias of an LSTM: a given value in the forget gate, zero in the other gates.

    $$b = (\,0_h,\; v_h,\; 0_h,\; 0_h\,)$$

    In each time step the memory is multiplied by $\operatorname{sigmoid}(b_f)$ if the other inputs
    of the forget gate are zero. The factor is one half for $b_f = 0$ and 0.73 for $b_f = 1$.

    Args:
        hidden: The number of units, $h$.
        value: The bias of the forget gate, $v$.

    Returns:
        An array of shape `(4 * hidden,)`, with the gates in the order input, forget, cell, output.

    Raises:
        ValueError: `hidden` is not a positive integer, or `value` is not finite.

    Source:
        F. A. Gers, J. Schmidhuber, F. Cummins (2000), *Learning to Forget*; R. Jozefowicz,
        W. Zaremba, I. Sutskever (2015), *An Empirical Exploration of Recurrent Network
        Architectures*.

    Examples:
        ```python
        import initguide as init

        print(init.forget_bias(2))
        #> [0. 0. 1. 1. 0. 0. 0. 0.]
        ```
    """
    if isinstance(hidden, bool) or not isinstance(hidden, (int, np.integer)) or hidden < 1:
        raise ValueError(f"hidden must be a positive integer; got {hidden!r}")
    _check_value(value)
    return np.repeat([0.0, value, 0.0, 0.0], hidden)


def forget_bias_(module: nn.LSTM | nn.LSTMCell, value: float = 1.0) -> nn.LSTM | nn.LSTMCell:
    r"""Set the bias of an LSTM's forget gate.

    $$b_{ih}^{(f)} + b_{hh}^{(f)} = v$$

    torch adds two bias vectors in each gate. If both were 1, the gate would start with a bias of 2.
    Here the first one gets the value, and the second one is zero.

    Args:
        module: An LSTM or LSTMCell with biases. All its layers and directions are set.
        value: The sum of the two biases, $v$.

    Returns:
        `module`, changed in place. The biases of the other gates stay as they are.

    Raises:
        TypeError: `module` is not an LSTM.
        ValueError: `module` has no biases, or `value` is not finite.

    Source:
        F. A. Gers, J. Schmidhuber, F. Cummins (2000), *Learning to Forget*; R. Jozefowicz,
        W. Zaremba, I. Sutskever (2015), *An Empirical Exploration of Recurrent Network
        Architectures*.

    Examples:
        ```python
        import torch

        import initguide as init

        lstm = init.forget_bias_(torch.nn.LSTM(5, 2), 1.0)
        print((lstm.bias_ih_l0 + lstm.bias_hh_l0)[2:4].tolist())
        #> [1.0, 1.0]
        ```
    """
    if not isinstance(module, (nn.LSTM, nn.LSTMCell)):
        raise TypeError(f"module must be an LSTM or LSTMCell; got {type(module).__name__}")
    if not module.bias:
        raise ValueError("module must have biases; got bias=False")
    _check_value(value)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("bias"):
                forget = parameter.chunk(4)[1]
                forget.fill_(value if name.startswith("bias_ih") else 0.0)
    return module


def recurrent_(
    module: Recurrent,
    *,
    forget_bias: float = 1.0,
    generator: torch.Generator | None = None,
) -> Recurrent:
    r"""Initialize an RNN, LSTM or GRU: Xavier input weights and orthogonal state weights.

    $$W_{ih}^{(i)} \sim \mathcal{U}(-a, a),\; a = \sqrt{\frac{6}{n + h}}, \qquad
    W_{hh}^{(i)\top} W_{hh}^{(i)} = I, \qquad b = 0 \text{ except } b^{(f)} = v$$

    for each gate $i$ separately, with $n$ inputs and $h$ units. In an LSTM with a projection
    (`proj_size=p`) the recurrent blocks are $(h, p)$ with orthonormal columns, and the projection
    has orthonormal rows.

    Args:
        module: `nn.RNN`, `nn.LSTM`, `nn.GRU` or one of their cells, with any number of layers and
            directions.
        forget_bias: The bias of the forget gate, $v$, in an LSTM with biases. It is the sum of
            torch's two bias vectors, and the first one holds it. Other layers ignore it.
        generator: The source of randomness. None means torch's global generator.

    Returns:
        `module`, changed in place.

    Raises:
        TypeError: `module` is not one of these layers, or its weights are parametrized.
        ValueError: `forget_bias` is not finite.

    Source:
        A. M. Saxe, J. L. McClelland, S. Ganguli (2014), *Exact Solutions to the Nonlinear Dynamics
        of Learning in Deep Linear Neural Networks* (orthogonal); X. Glorot, Y. Bengio (2010),
        *Understanding the Difficulty of Training Deep Feedforward Neural Networks* (Xavier);
        R. Jozefowicz, W. Zaremba, I. Sutskever (2015), *An Empirical Exploration of Recurrent
        Network Architectures* (forget bias).

    Examples:
        ```python
        import torch

        import initguide as init

        lstm = init.recurrent_(torch.nn.LSTM(5, 3))
        forget = lstm.weight_hh_l0[3:6]
        print(torch.allclose(forget @ forget.T, torch.eye(3), atol=1e-5))
        #> True
        print((lstm.bias_ih_l0 + lstm.bias_hh_l0)[3:6].tolist())
        #> [1.0, 1.0, 1.0]
        ```
    """
    if not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        raise TypeError(f"module must be an RNN, LSTM, GRU or cell; got {type(module).__name__}")
    _check_value(forget_bias)
    parameters = dict(module.named_parameters())
    for name in parameters:
        if not name.startswith(("weight_ih", "weight_hh", "weight_hr", "bias")):
            raise TypeError(f"module must hold plain parameters; got {name!r}")
    for name, parameter in parameters.items():
        gates = parameter.shape[0] // module.hidden_size
        if name.startswith("weight_ih"):
            per_gate_(parameter, xavier_uniform_, gates, generator)
        elif name.startswith("weight_hh"):
            per_gate_(parameter, orthogonal_, gates, generator)
        elif name.startswith("weight_hr"):
            orthogonal_(parameter, generator=generator)
        else:
            zeros_(parameter)
    if isinstance(module, (nn.LSTM, nn.LSTMCell)) and module.bias:
        forget_bias_(module, forget_bias)
    return module


def _check_value(value: float) -> None:
    if not np.isfinite(value):
        raise ValueError(f"the forget bias must be finite; got {value}")
