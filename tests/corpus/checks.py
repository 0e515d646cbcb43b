"""What must hold for any model: looking changes nothing, and a good start is not faulted."""

import copy
import functools
import hashlib
import math

import torch
from contents import content
from corpus import from_transformers
from torch import nn

import initguide as init


def digest(model):
    """Hash everything that plan, audit and measure must not change."""
    found = hashlib.blake2b(digest_size=8)
    # Parameters, buffers, modes, hooks and all other attributes, containers by their content.
    found.update(repr(content(model)).encode())
    found.update(repr([content(parameter.grad) for parameter in model.parameters()]).encode())
    found.update(torch.get_rng_state().numpy())
    return found.hexdigest()


class Start:
    """A model with one start, and what the package says of it, each computed once."""

    def __init__(self, case, recipe=None, dtype=torch.float32, *, on_batch=False):
        build, self.batch, self.loss = case
        self.example = self.batch if on_batch else None
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = build().to(dtype)
        if recipe is not None:
            self.done = init.initialize_(self.model, recipe, seed=0, example=self.example)

    def of_output(self, output):
        return self.loss(output, self.batch)

    @functools.cached_property
    def plan(self):
        return init.plan(self.model, example=self.example)

    @functools.cached_property
    def report(self):
        return init.measure(self.model, **self.batch, loss=self.of_output)

    @functools.cached_property
    def stream(self):
        """The rms of the output of each block, of the longest list of equal blocks."""
        lists = [m for m in self.model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1]
        lists = [m for m in lists if len({type(block) for block in m}) == 1]
        rms, hooks = [], []

        def note(module, args, output):
            first = output if torch.is_tensor(output) else output[0]
            rms.append(first.float().square().mean().sqrt().item())

        for block in max(lists, key=len, default=()):
            hooks.append(block.register_forward_hook(note))
        with torch.no_grad(), torch.random.fork_rng():
            self.output = self.model(**self.batch)
        for hook in hooks:
            hook.remove()
        return rms


def looked_at(start):
    """`plan`, `measure` and `audit` change nothing."""
    # The first forward of a model of transformers installs hooks.
    assert start.stream is not None
    before = digest(start.model)
    assert start.plan.entries
    assert digest(start.model) == before, "plan"
    assert start.report.rows
    assert digest(start.model) == before, "measure"
    init.audit(start.model, example=start.example)
    assert digest(start.model) == before, "audit"


def quiet(start):
    """`measure` finds nothing."""
    assert not start.report.findings, start.report.findings


def drawn(start):
    """`audit` finds what `initialize_` drew."""
    found = init.audit(start.model, example=start.example).findings
    assert not found, found


def sizes(start):
    """No layer's output is far from 1, except where it is 0; a scale is no layer."""
    for row in (row for row in start.report.rows if row["kind"] not in ("mul", "addcmul")):
        assert row["rms"] == 0 or 0.02 <= row["rms"] <= 50, row


def steady(start):
    """The residual stream grows at most twofold over the blocks."""
    if len(start.stream) > 1:
        assert start.stream[-1] <= 2 * start.stream[0], start.stream


def uniform(start):
    """A language model begins almost as a uniform guess does."""
    if start.loss is from_transformers.next_token:
        assert start.stream is not None
        logits = start.output.logits.float()
        words = logits.shape[-1]
        # The mean loss over all words. Logits of rms 1 add 1/2; four standard errors of their rms.
        excess = (logits.logsumexp(-1) - logits.mean(-1)).mean().item() - math.log(words)
        assert excess <= 0.5 * (1 + 4 * math.sqrt(2 / words)), excess


def scaled(start):
    """LSUV scales layers to std 1."""
    model = copy.deepcopy(start.model)
    report = init.lsuv_(model, **start.batch, generator=torch.Generator().manual_seed(0))
    rows = [row for row in report.rows if row["std_after"] is not None]
    assert rows
    for row in rows:
        assert abs(row["std_after"] - 1) < 1e-3, row


CHECKS = {None: (looked_at, quiet), "auto": (quiet, drawn, sizes, steady, uniform, scaled)}


def failing(case, recipe=None, *, on_batch=False):
    """Return the rules that a model breaks with one start, each with its error.

    Args:
        case: What builds the model, its batch, and its loss.
        recipe: The recipe of the start; None for the published start.
        on_batch: Whether a plan needs a batch.
    """
    try:
        start = Start(case, recipe, on_batch=on_batch)
    except ValueError as error:
        return {"initialized": str(error)}
    found = {}
    for check in CHECKS[recipe]:
        try:
            check(start)
        except (AssertionError, ValueError) as error:
            found[check.__name__] = str(error)
    return found
