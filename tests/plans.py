"""Short ways to plan and to initialize a model, for the tests of plans and rules."""

import torch

import initguide as init


def rows(model, recipe="auto"):
    return {row["parameter"]: row for row in init.plan(model, recipe).rows}


def stds(model, recipe="auto"):
    return {name: row["std"] for name, row in rows(model, recipe).items()}


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def drawn(model, recipe="auto", seed=0):
    init.initialize_(model, recipe, seed=seed)
    return state(model)
