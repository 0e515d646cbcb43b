"""Small networks and batches of digits for `measure_training`."""

import torch
from models import generator
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments import digits

DATA = digits()
SGD, ADAM = torch.optim.SGD, torch.optim.Adam


def batches(seed=0, size=64):
    """Yield batches of digits without end."""
    source = generator(seed)
    while True:
        index = torch.randint(len(DATA.x_train), (size,), generator=source)
        yield DATA.x_train[index].float(), DATA.y_train[index]


def mlp(depth=4, width=128, nonlinearity=nn.ReLU, seed=0):
    layers = [nn.Linear(64, width), nonlinearity()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nonlinearity()]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    init.initialize_(model, seed=seed)
    return model


def measured(model, optimizer, steps=20, data=None, loss=F.cross_entropy):
    return init.measure_training(model, data or batches(), optimizer, loss, steps=steps)


def found(report):
    return [(each.kind, each.where) for each in report.findings]
