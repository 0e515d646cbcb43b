"""Faults to plant in the package, each with the tests that must notice it.

A fault is a wrong function that is made from the right one. So it depends on the function's
behaviour and not on its source text.
"""

import functools
import math
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

Function = Callable[..., Any]


class Fault(NamedTuple):
    """The function to replace, the tests that must fail, and the wrong function from the right."""

    target: str
    tests: str
    wrong: Callable[[Function], Function]


FAULTS: dict[str, Fault] = {}


def fault(target: str, tests: str) -> Callable[[Any], Any]:
    """Register the decorated function, which makes the wrong function, under its own name."""

    def register(wrong: Any) -> Any:
        FAULTS[wrong.__name__.replace("_", " ").strip()] = Fault(target, tests, wrong)
        return wrong

    return register


def plant(name: str) -> None:
    """Replace a function in its module, before other modules of the package import it."""
    target, _, wrong = FAULTS[name]
    module, _, path = target.partition(":")
    *owners, last = path.split(".")
    owner = functools.reduce(getattr, owners, import_module(f"initguide.{module}"))
    right = getattr(owner, last)
    setattr(owner, last, functools.wraps(right)(wrong(right)))


# Fans: tests/test_fans.py, and the methods that use them.


@fault("fans:tensor_fans", "methods/test_methods.py::test_std_by_hand[dense-LeCun normal]")
def fans_swapped(right):
    return lambda tensor: type(fans := right(tensor))(fans.fan_out, fans.fan_in)


@fault("fans:Fans.pick", "test_fans.py::test_pick")
def fan_in_for_fan_out(right):
    return lambda fans, mode: right(fans, "fan_in" if mode == "fan_out" else mode)


@fault("fans:fans", "test_fans.py::test_fans_by_hand")
def layouts_exchanged(right):
    other = {"in_out": "out_in", "out_in": "in_out"}
    return lambda shape, layout="out_in": right(shape, other[layout])


@fault("fans:_convolution", "test_fans.py::test_convolution_fans_count_the_terms")
def groups_and_transposition_ignored(right):
    return lambda module: import_module("initguide.fans").fans(module.weight.shape)


@fault("fans:_convolution", "test_fans.py::test_convolution_fans_count_the_terms")
def stride_ignored(right):
    def fans(module):
        stride, module.stride = module.stride, (1,)
        found = right(module)
        module.stride = stride
        return found

    return fans


@fault("fans:packed_in", "test_fans.py::test_layer_fans_by_hand")
def packed_gates_counted_as_one(right):
    return lambda module, name: 1


@fault("fans:layer_fans", "test_fans.py::test_layer_fans_by_hand")
def embedding_with_the_fans_of_a_linear_layer(right):
    def layer_fans(module, name="weight"):
        linear = nn.Linear(*module.weight.shape) if isinstance(module, nn.Embedding) else module
        return right(linear, name)

    return layer_fans


# Gains: tests/test_gains.py, and the methods that take a gain.


@fault("gains:_gain", "test_gains.py::test_gain_table")
def root_of_the_gain(right):
    return lambda *args: math.sqrt(right(*args))


@fault("activations:derivative_of", "test_gains.py::test_gain_table")
def function_for_derivative(right):
    return import_module("initguide.activations").function_of


@fault("gains:expectation", "test_gains.py::test_kinks_and_jumps_anywhere")
def fixed_nodes(right):
    nodes, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(64))
    return lambda function: (function(nodes) @ weights).item() / math.sqrt(math.tau)


@fault(
    "activations:key_of", "test_gains.py::test_modules_with_different_numbers_have_different_gains"
)
def gains_cached_by_class(right):
    return lambda f: type(f).__name__ if isinstance(f, nn.Module) else right(f)


@fault("activations:_raw", "test_gains.py::test_a_module_is_left_as_it_was")
def module_not_copied(right):
    return lambda f: f.double().eval() if isinstance(f, nn.Module) else right(f)


@fault(
    "_state:random_states_kept",
    "test_gains.py::test_an_activation_that_draws_leaves_the_random_states",
)
def random_states_not_restored(right):
    return lambda *devices: contextmanager(lambda: iter([None]))()


@fault("gains:calculate_gain", "test_gains.py::test_calculate_gain_is_torchs")
def exact_gains_for_torchs_names(right):
    return lambda name, param=None: import_module("initguide.gains").gain(name)


@fault("gains:as_gain", "test_errors.py")
def negative_gain_accepted(right):
    return lambda value, signed=False: right(value, signed=True)


@fault("gains:as_gain", "test_haar.py::test_gain_is_a_factor[(5, 5)--2.0]")
def sign_of_the_gain_lost(right):
    return lambda value, signed=False: abs(right(value, signed=signed))


# Theory by depth: tests/test_propagation.py.


@fault("propagation:propagate", "test_propagation.py::test_one_layer_is_the_integral")
def biases_ignored(right):
    return lambda f, w, b=0.0, *args, **options: right(f, w, 0.0, *args, **options)


@fault(
    "moments:decorrelation",
    "test_propagation.py::test_relu_correlation_is_the_arc_cosine_kernel",
)
def sign_of_the_correlation_lost(right):
    return lambda f, q, d, same, slope: right(f, q, 1 - abs(1 - d), same, slope)


@fault(
    "moments:relative_variance_of_square",
    "test_propagation.py::test_relu_varies_by_five_depths_over_width",
)
def second_moment_for_variance(right):
    return lambda *args: right(*args) + 1


@fault("propagation:_first_root", "test_propagation.py::test_the_edge_agrees_with_scipy")
def inexact_root(right):
    return lambda *args: 1.001 * right(*args)


# Random numbers: tests/test_random.py, and the NumPy functions that draw.


@fault(
    "random:generator_from",
    "methods/test_methods.py::TestContract::test_the_rng_decides_and_numpys_global_state_stays",
)
def rng_ignored_by_numpy_twins(right):
    return lambda rng: right(None)


@fault("random:_box_muller", "test_random.py::test_normals_of_numpy[torch.float32-1000000]")
def equal_pairs_of_normals(right):
    def box_muller(rng, out):
        right(rng, out)
        half = (len(out) + 1) // 2
        out[half:] = out[: len(out) - half]

    return box_muller


@fault("random:uniform_sampler", "test_random.py::test_chunks_are_independent")
def chunks_that_are_copies(right):
    def uniform_sampler(rng):
        fill_, state = right(rng), rng.bit_generator.state

        def restart_and_fill_(*args):
            rng.bit_generator.state = state
            fill_(*args)

        return restart_and_fill_

    return uniform_sampler


@fault(
    "random:fill_truncated_normal_",
    "test_random.py::test_truncated_normal_distribution[(2, 0.5, 1, 3)]",
)
def bounds_counted_from_the_mean(right):
    return lambda out, mean, std, a, b, *fills: right(out, mean, std, mean + a, mean + b, *fills)


@fault(
    "random:fill_truncated_normal_",
    "test_random.py::test_truncated_normal_distribution[(2, 0.5, 1, 3)]",
)
def truncated_normal_around_zero(right):
    return lambda out, mean, std, a, b, *fills: right(out, 0.0, std, a, b, *fills)


@fault(
    "random:_propose_until_accepted_",
    "test_random.py::test_truncated_normal_distribution[(0, 1, -1, 9)]",
)
def rejected_values_kept(right):
    return lambda out, propose_: propose_(out.view(-1))


@fault(
    "random:representable_bounds",
    "test_random.py::test_half_precision_stays_inside_and_unbiased",
)
def values_rounded_beyond_the_bounds(right):
    return lambda dtype, a, b: (a, b)


# Orthogonal matrices: tests/test_haar.py.


@fault("haar:by_qr", "test_haar.py::test_haar_moments")
def qr_without_signs(right):
    def by_qr(q, fill_normal_, gain):
        x = q.new_empty(q.shape)
        fill_normal_(x)
        q.copy_(torch.linalg.qr(x).Q * gain)

    return by_qr


@fault("haar:haar_", "test_haar.py::test_orthogonal_is_orthonormal[dtype0-1e-05-(30, 400)]")
def transposition_forgotten(right):
    def haar_(q, *args, **options):
        right(q.view(q.shape[1], q.shape[0]), *args, **options)
        return q

    return haar_


@fault("haar:by_panels", "test_haar.py::test_orthogonal_is_orthonormal[dtype0-1e-05-(385, 385)]")
def last_panel_of_one_column_forgotten(right):
    def by_panels(q, fill_normal_, gain, width=0):
        right(q, fill_normal_, gain, width)
        if q.shape[1] % 96 == 1:
            q[:, -1] = 0

    return by_panels


@fault("haar:_full_precision", "test_haar.py::test_orthogonal_keeps_precision_under_autocast")
def autocast_not_switched_off(right):
    return lambda device: nullcontext()


@fault(
    "methods.orthogonal:orthogonal",
    "methods/test_methods.py::test_orthogonal_layouts_have_orthonormal_columns_into_the_output",
)
def layout_ignored_by_orthogonal(right):
    return lambda shape, *args, **options: right(shape, *args, **{**options, "layout": "in_out"})


# Methods: tests/methods.


@fault(
    "methods.normal:draw_normal_",
    "methods/test_methods.py::TestContract::test_the_generator_decides_and_the_global_state_stays",
)
def generator_ignored(right):
    return lambda tensor, mean, std, generator: right(tensor, mean, std, None)


@fault(
    "methods.normal:draw_uniform_",
    "methods/test_methods.py::test_values_are_torchs_bit_for_bit",
)
def std_as_bound(right):
    return lambda tensor, a, b, generator: right(tensor, a / 3**0.5, b / 3**0.5, generator)


@fault(
    "methods.normal:draw_normal_", "methods/test_methods.py::test_std_by_hand[dense-LeCun normal]"
)
def variance_as_std(right):
    return lambda tensor, mean, std, generator: right(tensor, mean, std**2, generator)


@fault(
    "methods.normal:draw_uniform_",
    "test_drop_in.py::test_half_precision_uniform_is_not_biased_as_torchs_is",
)
def half_precision_drawn_directly(right):
    def draw_uniform_(tensor, a, b, generator):
        tensor.detach().uniform_(a, b, generator=generator)
        return tensor

    return draw_uniform_


@fault(
    "methods.normal:draw_normal_",
    "methods/test_methods.py::TestContract"
    "::test_a_parameter_stays_a_leaf_and_the_tensor_is_returned",
)
def parameter_not_detached(right):
    return lambda tensor, mean, std, generator: tensor.normal_(mean, std, generator=generator)


@fault(
    "methods.truncated_normal:std_before_cut",
    "methods/test_properties.py::test_a_truncated_normal_has_the_std_it_is_asked_for",
)
def truncation_not_corrected(right):
    return lambda std, cut=2.0: std


@fault("methods.identity:dirac_", "test_drop_in.py::test_values_are_torchs_for_any_tensor[dirac_]")
def ones_in_the_kernels_corner(right):
    def dirac_(tensor, groups=1):
        axes = tuple(range(2, tensor.ndim))
        shifts = tuple(-(tensor.shape[axis] // 2) for axis in axes)
        tensor.data.copy_(right(tensor, groups).data.roll(shifts, axes))
        return tensor

    return dirac_


@fault(
    "methods.icnr:icnr_",
    "methods/test_properties.py::test_icnr_starts_as_a_smaller_convolution_enlarged",
)
def other_channel_order(right):
    def icnr_(tensor, upscale_factor=2, *args, **options):
        right(tensor, upscale_factor, *args, **options)
        block = upscale_factor ** (tensor.ndim - 2)
        return tensor.copy_(torch.cat([tensor[::block]] * block))

    return icnr_


@fault(
    "methods.sparse:sparse_incoming_",
    "methods/test_properties.py::test_each_unit_hears_so_many_inputs_chosen_evenly",
)
def outgoing_for_incoming_connections(right):
    return lambda tensor, *args, **options: right(tensor.mT, *args, **options).mT


# Layers and models: tests/layers, tests/model.


@fault("layers.convolution:convolution_", "layers/test_layers.py::test_convolution_options")
def mode_ignored_by_convolutions(right):
    return lambda module, f="relu", mode="fan_in", **options: right(module, f, **options)


@fault("layers.recurrent:forget_bias_", "layers/test_layers.py::test_the_gate_order_is_torchs")
def gate_order(right):
    def forget_bias_(module, value=1.0):
        for name, bias in right(module, value).named_parameters():
            if name.startswith("bias"):
                bias.data.copy_(bias.data.roll(len(bias) // 4))
        return module

    return forget_bias_


@fault(
    "layers.recurrent:forget_bias_",
    "layers/test_layers.py::test_the_two_bias_vectors_add_up_to_the_forget_bias",
)
def forget_bias_in_both_vectors(right):
    def forget_bias_(module, value=1.0):
        for name, bias in right(module, value).named_parameters():
            if name.startswith("bias"):
                bias.data.chunk(4)[1].fill_(value)
        return module

    return forget_bias_


@fault("layers.gates:per_gate_", "layers/test_layers.py::test_recurrent_gate_by_gate[lstm]")
def packed_gates_drawn_as_one(right):
    return lambda tensor, init_, gates=4, generator=None: init_(tensor, generator=generator)


@fault("layers.gates:per_gate", "layers/test_layers.py::test_per_gate_blocks_are_independent")
def one_seed_for_all_gates(right):
    def per_gate(shape, init, *args, **options):
        return right(shape, lambda *a, **o: init(*a, **{**o, "rng": 0}), *args, **options)

    return per_gate


@fault(
    "layers.bias:class_prior_bias", "layers/test_layers.py::test_a_share_is_predicted_by_a_sigmoid"
)
def share_for_odds(right):
    return lambda counts: np.log([counts]) if isinstance(counts, float) else right(counts)


@fault(
    "initialize:initialize_",
    "model/test_plan.py::test_an_embedding_keeps_its_padding_at_zero",
)
def padding_rows_filled(right):
    def initialize_(model, *args, **options):
        plan = right(model, *args, **options)
        for module in model.modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight.data[module.padding_idx] = 1.0
        return plan

    return initialize_


# The check of initializers: tests/testing.

WRONG_ONE = "testing/test_wrong_initializers.py::test_a_wrong_initializer_is_named"


@fault("diagnostics.explain:explain", f"{WRONG_ONE}[fans swapped]")
def unknown_mistake(right):
    def explain(*args, **options):
        return [each for each in right(*args, **options) if "fans swapped" not in each.kinds]

    return explain


@fault("testing.entries:_distribution", f"{WRONG_ONE}[uniform]")
def distributions_not_compared(right):
    return lambda *args: []


@fault("testing.structure:_haar", f"{WRONG_ONE}[no signs]")
def distribution_of_orthogonal_matrices_not_tested(right):
    return lambda *args: []


@fault("testing.contract:randomness", f"{WRONG_ONE}[generator]")
def generator_not_tested(right):
    return lambda *args, **options: []


# Reports: tests/diagnostics.

PLANTED = "diagnostics/test_measure_findings.py::test_planted_faults_are_found"


@fault("diagnostics.depth_checks:signal", f"{PLANTED}[std 0.01]")
def vanishing_signal_not_seen(right):
    return lambda layers: iter(())


@fault("diagnostics.layer_checks:dead", f"{PLANTED}[a bias that kills]")
def dead_units_not_seen(right):
    return lambda layers: iter(())


TRAINING = "diagnostics/test_measure_training.py"
FOUND = "test_planted_faults_are_found_at_their_layer"
LOOP = "test_each_step_is_that_of_a_training_loop"


@fault("diagnostics.training_checks:_too_large", f"{TRAINING}::{FOUND}")
def large_updates_not_seen(right):
    return lambda history: iter(())


@fault("diagnostics.training_history:update", f"{TRAINING}::{LOOP}")
def updates_measured_by_their_largest_layer(right):
    def update(optimizer, weights):
        found = right(optimizer, weights)
        return dict.fromkeys(found, max(found.values()))

    return update


@fault(
    "_undoing:training_undone",
    "diagnostics/test_training_unchanged.py::test_training_goes_on_as_if_it_had_not_been_measured",
)
def training_kept(right):
    return lambda model, optimizer: import_module("initguide._undoing").side_effects_undone(model)


@fault(
    "diagnostics.explain:wrong_distribution",
    "diagnostics/test_mistakes.py::test_check_initializer_names_the_mistake[uniform for normal]",
)
def distributions_not_named(right):
    return lambda *args: "wrong distribution"


@fault(
    "_format:json_ready",
    "diagnostics/test_report.py::test_json_holds_numbers_that_are_not_finite_as_text",
)
def nan_left_in_json(right):
    return lambda value: value


@fault("_format:html_list", "diagnostics/test_report.py::test_names_are_escaped")
def html_not_escaped(right):
    return lambda lines: "".join(f"<li>{line}</li>" for line in lines)
