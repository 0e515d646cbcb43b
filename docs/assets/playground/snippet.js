// The Python that does the same: a model, its initialization by a plan, and the measurement.

import { ACTIVATIONS } from "./activations.js";

// The rule for all weights, as initguide's recipes are written; a name where a recipe does it.
const RULES = {
  zero: () => '"zeros_"',
  constant: ({ width }) => `"constant_", val=1 / ${width}`,
  small: () => '"normal_", std=0.01',
  large: () => '"normal_", std=1.0',
  lecun: () => '"lecun_normal_"',
  xavier: () => '"xavier_normal_"',
  he: () => '"kaiming_normal_", nonlinearity="relu"',
  orthogonal: ({ activation }) => `"orthogonal_", gain="${activation}"`,
  gain: ({ gain }) => `"lecun_normal_", gain=${gain}`,
};

const recipe = (settings) =>
  settings.init === "torch"
    ? 'recipe = "torch"'
    : `recipe = [init.Rule("*weight", ${RULES[settings.init](settings)}, on=nn.Linear), "auto"]`;

function plain({ width, depth, activation, layerNorm }) {
  const { torch } = ACTIVATIONS[activation];
  const layers = [`nn.Linear(${width}, ${width})`, ...(layerNorm ? [`nn.LayerNorm(${width})`] : []), torch];
  return `model = nn.Sequential(
    *(
        module
        for _ in range(${depth})
        for module in (${layers.join(", ")})
    )
)`;
}

function residual({ width, depth, activation, layerNorm }) {
  const { torch } = ACTIVATIONS[activation];
  const before = [...(layerNorm ? [`nn.LayerNorm(${width})`] : []), torch];
  const branch = [...before, `nn.Linear(${width}, ${width})`];
  return `class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(${branch.join(", ")})

    def forward(self, x):
        return x + self.branch(x)


model = nn.Sequential(
    nn.Linear(${width}, ${width}),
    *(Block() for _ in range(${depth - 1})),
    ${before.join(",\n    ")},
)`;
}

export function snippet(settings) {
  const { width, batch, seed } = settings;
  return `import torch
from torch import nn

import initguide as init

${settings.residual ? residual(settings) : plain(settings)}
${recipe(settings)}
print(init.initialize_(model, recipe, seed=${seed}))

x = torch.randn(${batch}, ${width})
top = torch.randn(${batch}, ${width})
print(init.measure(model, x, loss=lambda y: (y * top).sum()))
`;
}
