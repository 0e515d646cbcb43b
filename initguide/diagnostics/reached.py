"""Which layers and parameters a run did not reach, or could not measure."""

from torch import nn

from initguide.diagnostics.hooks import Recording
from initguide.graph.trace import LAYERS, NORMS, PACKED


def not_measured(model: nn.Module, record: Recording) -> list[str]:
    """Return remarks on layers and parameters that were not measured."""
    # Attention never calls its own projection.
    met = {m.out_proj for m in model.modules() if isinstance(m, nn.MultiheadAttention)}
    met |= {module for module in record.seen if isinstance(module, nn.Module)}
    met |= {model.get_submodule(name.rpartition(".")[0]) for name in record.met}
    # A table that other layers share may itself never be called.
    shared = {id(p) for module in met for p in module.parameters(recurse=False)}
    unreached = [
        name
        for name, module in layers_of(model)
        if module not in met and not {id(p) for p in module.parameters(recurse=False)} <= shared
    ]
    known = [m for m in model.modules() if isinstance(m, (*LAYERS, *PACKED, *NORMS))]
    held = {id(p) for module in known for p in module.parameters(recurse=False)}
    free = [name for name, p in model.named_parameters() if id(p) not in held]
    # A parametrized layer computes its weight from other parameters.
    computed = [(name, *name.split("parametrizations.")[:-1]) for name in free]
    unused = [
        name
        for name, *owner in computed
        if name not in record.met
        and not (owner and model.get_submodule(owner[0].removesuffix(".")) in met)
    ]
    unmeasured = [f"{n} ({record.unmeasured[n]})" for n in unused if n in record.unmeasured]
    unused = [name for name in unused if name not in record.unmeasured]
    texts = {
        "not reached by the batch": [*unreached, *unused],
        "not measured, because its use is not known": unmeasured,
    }
    return [f"{text}: {', '.join(names)}" for text, names in texts.items() if names]


def layers_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers of torch in a model, each with its name."""
    return [each for each in model.named_modules() if isinstance(each[1], (*LAYERS, *PACKED))]
