"""The tables of the page on big models, made from the records of the recipes."""

import records

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
