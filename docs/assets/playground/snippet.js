// The Python that does the same: a model, its initialization by a plan, and the playground's table.

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

// Where the sums and the signals are read: a block's output is both.
function reading({ activation, residual: sums }) {
  const name = ACTIVATIONS[activation].torch.replace(/\(.*/, "");
  if (sums)
    return `    if isinstance(module, (nn.Linear, Block)):
        sums.append(h)
        signals.append(h)`;
  return `    if isinstance(module, nn.Linear):
        sums.append(h)
    if isinstance(module, ${name}):
        signals.append(h)`;
}

export function snippet(settings) {
  const { width, batch, seed } = settings;
  return `import torch
from torch import nn

import initguide as init

torch.set_default_dtype(torch.float64)
torch.manual_seed(${seed})
${settings.residual ? residual(settings) : plain(settings)}
${recipe(settings)}
init.initialize_(model, recipe, seed=${seed})

x = torch.randn(${batch}, ${width})
top = torch.randn(${batch}, ${width})  # the gradient that arrives at the last layer
h, sums, signals = x, [], []
for module in model:
    h = module(h)
${reading(settings)}
gradients = torch.autograd.grad(h, sums, top)


def rms(values):
    return values.square().mean().sqrt().item()


print("layer  signal  std over inputs  gradient")
for layer, (a, g) in enumerate(zip(signals, gradients), 1):
    std = a.var(0, correction=0).mean().sqrt().item()
    print(f"{layer:5}  {rms(a):6.2g}  {std:15.2g}  {rms(g):8.2g}")

report = init.measure(model, x, loss=lambda y: (y * top).sum())
print(*report.findings, sep="\\n")
`;
}
