"""The tables of the page on big models, made from the records of the recipes."""

import json

import code_bases
import pytest
import records
from code_base_models import Decoder

import initguide as init
from initguide.recipes.code_bases.rules import CODE_BASES

PAGE = "advanced/big-models.md"


def rows(request):
    return {
        line.split("|")[1].strip(" `"): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in records.block(request, PAGE).splitlines()[2:]
    }


def test_the_numbers_of_a_llama_with_7_billion_parameters():
    found = rows("code bases")
    # 0.02 / sqrt(2 * 32) = 0.0025; 1 / 64; sqrt(2 / (5 * 4096)); 2 / (32 * 64); 1 / 4096.
    end = "0.0025"
    assert found["torchtitan-llama3"] == ["1", "0.0156", "0.02", end, "0.02", end, end]
    assert found["gpt-neox"] == [*["0.00988"] * 3, "0.000977", "0.00988", "0.00988", "0.000977"]
    assert found["levanter"][0] == "0.000244"
    assert len(found) >= 20


def at(width, blocks):
    """Return what the page's script shows at other sizes, by recipe and role."""
    given = json.loads(code_bases.data())
    size = list(given["widths"]).index(str(width)) * len(given["depths"])
    size += given["depths"].index(blocks)
    values = iter(given["values"][i][size] for i in given["cells"])
    return {name: dict(zip(code_bases.ROLES, values, strict=False)) for name in rows("code bases")}


def test_the_script_starts_with_the_numbers_of_the_table():
    found = {name: list(values.values()) for name, values in at(4096, 32).items()}
    assert found == rows("code bases")


def test_the_numbers_at_other_sizes_by_hand():
    # 0.02 / sqrt(2 * 8); sqrt(2 / (5 * 512)); 2 / (128 sqrt(16384)).
    assert at(512, 8)["megatron"]["down"] == "0.005"
    assert at(512, 8)["gpt-neox"]["query"] == "0.028"
    assert at(16384, 128)["gpt-neox"]["output"] == "0.000122"
    # As in Llama with 7 billion parameters, and in TinyLlama.
    assert [code_bases.hidden(width) for width in (4096, 2048)] == [11008, 5632]


@pytest.mark.parametrize("recipe", ["torchtitan-llama3", "gpt-neox", "lingua", "nanochat"])
def test_the_recipes_draw_what_the_script_shows(recipe):
    rows_of_plan = init.plan(Decoder(512, 8), recipe).rows
    stds = {row["parameter"]: row["std"] for row in rows_of_plan}
    roles = {"mix.a": "query", "mix.d": "output", "think.r": "gate", "think.s": "up"}
    names = {f"stack.7.{name}.weight": role for name, role in roles.items()}
    # The std of the numbers, where the page has that before the cut.
    cut = 0.986578 if recipe == "lingua" else 1
    for name, role in {"start.weight": "embedding", **names}.items():
        assert stds[name] == pytest.approx(cut * float(at(512, 8)[recipe][role]), rel=5e-3), name


def test_each_code_base_has_its_formulas_and_its_source():
    found = {
        first.partition("`<br>")[0]: (first, formulas)
        for first, (formulas,) in rows("code base formulas").items()
    }
    assert list(found) == [record.name for record in CODE_BASES]
    for record in CODE_BASES:
        source, formulas = found[record.name]
        assert record.file in source
        assert all(f"`{draw.std}`" in formulas for draw in record.draws.values())
