"""Steps of many models at once: equal to the optimizers of torch."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments import mlp
from initguide.experiments.descent import descend, gradient_step, muon_direction

pytestmark = pytest.mark.usefixtures("random_states_kept")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("betas", "warmup"), [(None, None), ((0.9, 0.98), None), ((0.9, 0.98), [1, 3, 9])]
)
def test_descend_equals_the_optimizers_of_torch(betas, warmup):
    x = torch.randn(6, 3, 20, 4, generator=seeded())
    y = torch.randint(5, (6, 3, 20), generator=seeded(1))
    models = [mlp((4, 8, 5), nn.Tanh, generator=seeded(i)) for i in range(3)]
    rates = [0.01, 0.03, 0.1]
    expected = []
    for i, lr in enumerate(rates):
        twin = mlp((4, 8, 5), nn.Tanh, generator=seeded(i))
        parameters = list(twin.parameters())
        optimizer = (
            torch.optim.Adam(parameters, lr, betas) if betas else torch.optim.SGD(parameters, lr)
        )
        for step in range(6):
            optimizer.zero_grad()
            if warmup:
                optimizer.param_groups[0]["lr"] = lr * min((step + 1) / warmup[i], 1)
            loss = F.cross_entropy(twin(x[step, i]), y[step, i])
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
        models.append(twin)
    batches = zip(x, y, strict=True)
    losses = descend(models[:3], batches, F.cross_entropy, lr=rates, betas=betas, warmup=warmup)
    assert losses.T.flatten().tolist() == pytest.approx(expected, rel=1e-4)
    for ours, twin in zip(models[:3], models[3:], strict=True):
        for parameter, other in zip(ours.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(parameter, other, rtol=1e-3, atol=1e-5)


def test_runs_that_diverge_are_left_out_and_do_not_change_the_others():
    rates = [0.1, math.inf, 0.05, math.inf]
    x = torch.randn(6, 1, 20, 4, generator=seeded()).expand(-1, 4, -1, -1)
    y = torch.randint(5, (6, 1, 20), generator=seeded(1)).expand(-1, 4, -1)

    def losses_of(kept, **options):
        models = [mlp((4, 8, 5), nn.Tanh, generator=seeded(i)) for i in kept]
        batches = [(x[step, kept], y[step, kept]) for step in range(6)]
        lr = [rates[i] for i in kept]
        losses = descend(models, batches, F.cross_entropy, lr=lr, **options)
        return losses, [model[0].weight for model in models]

    for options in ({}, {"betas": (0.9, 0.99)}, {"betas": (0.9, 0.99), "warmup": [2, 1, 3, 1]}):
        losses, weights = losses_of([0, 1, 2, 3], **options)
        if "warmup" in options:
            options["warmup"] = options["warmup"][::2]
        alone, others = losses_of([0, 2], **options)
        torch.testing.assert_close(losses[:, ::2], alone)
        torch.testing.assert_close(weights[::2], others)
        assert not losses[-1, 1::2].isfinite().any()
        assert losses[0].isfinite().all()


def test_no_step_is_computed_after_all_runs_diverged():
    seen = []

    def batches():
        for step in range(5):
            seen.append(step)
            yield torch.full((2, 3, 4), math.inf), torch.zeros(2, 3, dtype=torch.long)

    models = [mlp((4, 8, 5), generator=seeded(i)) for i in range(2)]
    losses = descend(models, batches(), F.cross_entropy, lr=[0.1, 0.1])
    assert losses.shape == (5, 2)
    assert losses.isnan().all()
    with pytest.raises(ValueError, match="one number for each of 2 models; got 1"):
        descend(models, batches(), F.cross_entropy, lr=[0.1])
    with pytest.raises(ValueError, match=r"the parameters 0\.weight, .*, 2\.bias; got 0\.weight$"):
        descend(models, batches(), F.cross_entropy, lr={"0.weight": [0.1, 0.1]})


def test_each_parameter_has_its_own_rate():
    x, y = torch.randn(1, 20, 4, generator=seeded()), torch.randint(5, (1, 20), generator=seeded(1))
    model, twin = (mlp((4, 8, 5), generator=seeded()) for _ in range(2))
    rates = {"0.weight": 0.1, "0.bias": 0.0, "2.weight": 0.3, "2.bias": 1.0}
    lr = {name: [rate] for name, rate in rates.items()}
    descend([model], [(x, y)], F.cross_entropy, lr=lr)
    F.cross_entropy(twin(x[0]), y[0]).backward()
    for (name, parameter), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, other - rates[name] * other.grad)


def test_a_step_of_muon_has_singular_values_near_one():
    x, y = torch.randn(1, 20, 4, generator=seeded()), torch.randint(5, (1, 20), generator=seeded(1))
    model, before = (mlp((4, 8, 5), generator=seeded()) for _ in range(2))
    descend([model], [(x, y)], F.cross_entropy, lr=[0.1], muon=0.9)
    F.cross_entropy(before(x[0]), y[0]).backward()
    for ours, start in zip(model.parameters(), before.parameters(), strict=True):
        moved, gradient = (
            (one if one.dim() == 2 else one[:, None]) for one in (start - ours, start.grad)
        )
        u, s, v = torch.linalg.svd(gradient, full_matrices=False)
        values = u.T @ moved @ v.T / 0.1
        large = s > 0.05 * s.norm()
        assert ((values.diagonal()[large] > 0.6) & (values.diagonal()[large] < 1.3)).all()
        torch.testing.assert_close(values, values.diagonal().diag(), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"betas and muon exclude each other; got .* and 0\.9"):
        descend([model], [(x, y)], F.cross_entropy, lr=[0.1], betas=(0.9, 0.99), muon=0.9)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5)])
def test_muon_is_that_of_torch(shape):
    gradients = torch.randn(4, *shape, generator=seeded())
    ours, theirs = torch.zeros(1, *shape), nn.Parameter(torch.zeros(shape))
    optimizer = torch.optim.Muon([theirs], lr=1.0, momentum=0.8, nesterov=False, weight_decay=0)
    # Torch multiplies the steps of tall matrices by the root of their height over their width.
    factor = math.sqrt(max(1, shape[0] / shape[1]))
    for gradient in gradients:
        before, theirs.grad = theirs.detach().clone(), gradient.clone()
        optimizer.step()
        step = muon_direction(gradient[None], ours, 0.8)[0]
        # Torch takes the five steps in bfloat16, whose numbers have an error of 0.4 %.
        torch.testing.assert_close(step, (before - theirs) / factor, rtol=0, atol=0.02)


def test_muon_leaves_a_gradient_of_zero():
    zeros = torch.zeros(2, 3, 4)
    assert not muon_direction(zeros, zeros.clone(), 0.9).any()
    # A bias is a matrix of one column: all but its length is kept.
    bias = torch.tensor([[3.0, 4.0]])
    direction = muon_direction(bias, torch.zeros(1, 2), 0.5)[0]
    assert 0.6 < direction.norm() < 1.3
    assert direction[1] / direction[0] == pytest.approx(4 / 3)


def test_the_rates_of_a_mapping_are_one_for_each_model():
    models = [mlp((4, 5), generator=seeded(i)) for i in range(2)]
    start = [model[0].bias.detach().clone() for model in models]
    x, y = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, dtype=torch.long)
    lr = {"0.weight": [0.0, 0.0], "0.bias": [0.0, 1.0]}
    descend(models, zip(x, y, strict=True), F.cross_entropy, lr=lr)
    assert torch.equal(models[0][0].bias, start[0])
    assert not torch.equal(models[1][0].bias, start[1])


def test_one_run_that_diverges_does_not_stop_the_others():
    models = [mlp((4, 5), generator=seeded(i)) for i in range(2)]
    x, y = torch.ones(3, 2, 3, 4), torch.zeros(3, 2, 3, dtype=torch.long)
    x[0, 0] = math.inf
    losses = descend(models, zip(x, y, strict=True), F.cross_entropy, lr=[1.0, 1.0])
    assert losses[:, 0].isnan().all()
    assert losses[0, 1] > losses[1, 1] > losses[2, 1]


def test_gradient_step_updates_once_and_returns_the_loss_before():
    x, y = torch.randn(20, 4, generator=seeded()), torch.randint(5, (20,), generator=seeded(1))
    model, twin = (mlp((4, 8, 5), generator=seeded()) for _ in range(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        losses = [gradient_step(optimizer, lambda: F.cross_entropy(model(x), y)) for _ in range(2)]
    for before in losses:
        loss = F.cross_entropy(twin(x), y)
        assert before.item() == pytest.approx(loss.item())
        assert not before.requires_grad
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
