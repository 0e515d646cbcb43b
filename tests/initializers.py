"""Initializers as a reader may write them, for the tests of `check_initializer`."""

import math

import numpy as np
import scipy.stats
import torch

import initguide as init


def matrix_fans(shape):
    """Return fan_in and fan_out of a shape (*kernel, in, out)."""
    places = math.prod(shape[:-2])
    return shape[-2] * places, shape[-1] * places


def tensor_fans(tensor):
    places = math.prod(tensor.shape[2:])
    return tensor.shape[1] * places, tensor.shape[0] * places


# Initializers from one number, as most are written: the std, or the bound, from the fans.


def arrays(std, law="normal"):
    """Return an initializer of arrays from a std that is a function of the fans."""

    def draw(shape, rng=None):
        rng = np.random.default_rng(rng)
        s = std(*matrix_fans(shape))
        if law == "truncated":
            return s * scipy.stats.truncnorm(-2, 2).rvs(shape, random_state=rng)
        return rng.normal(0, s, shape) if law == "normal" else rng.uniform(-s, s, shape)

    return draw


def tensors(std, law="normal"):
    """Return one of tensors."""

    def fill_(tensor, generator=None):
        s = std(*tensor_fans(tensor))
        with torch.no_grad():
            if law == "normal":
                return tensor.normal_(0, s, generator=generator)
            return tensor.uniform_(-s, s, generator=generator)

    return fill_


def of_array(change):
    """Return a standard normal array, changed."""
    return lambda shape, rng: change(rng.normal(size=shape), rng)


def filled(change):
    """Return an initializer that copies a function of a standard normal tensor into its own."""

    def fill_(tensor, generator=None):
        drawn = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        with torch.no_grad():
            return tensor.copy_(change(drawn))

    return fill_


def he(change):
    """Return He's values, changed."""
    return filled(lambda x: change(x * math.sqrt(2 / tensor_fans(x)[0])))


def by_shape_(tensor, generator=None):
    """Orthogonal, with a gain that is another at each shape."""
    gain = math.sqrt(max(1, len(tensor) / tensor[0].numel()))
    return init.orthogonal_(tensor, gain=gain, generator=generator)


def dropped(shape, rng, share=0.1):
    return rng.normal(0, 0.01, shape) * (rng.random(shape) < share)
