"""The list of all claims."""

from initguide.experiments.claims import (
    aitken_2017,
    ba_2016,
    glorot_2010,
    hanin_2018,
    he_2015,
    jozefowicz_2015,
    le_2015,
    lin_2017,
    mishkin_2016,
    rumelhart_1986,
    saxe_2014,
    sitzmann_2020,
    xiao_2018,
    xiong_2020,
    yang_2021,
    zagoruyko_2017,
    zhang_2019,
)
from initguide.experiments.claims.claim import Claim

CLAIMS: tuple[Claim, ...] = (
    rumelhart_1986.CLAIM,
    glorot_2010.CLAIM,
    he_2015.CLAIM,
    saxe_2014.CLAIM,
    mishkin_2016.CLAIM,
    xiao_2018.CLAIM,
    le_2015.CLAIM,
    jozefowicz_2015.CLAIM,
    sitzmann_2020.CLAIM,
    aitken_2017.CLAIM,
    hanin_2018.CLAIM,
    zhang_2019.CLAIM,
    zagoruyko_2017.CLAIM,
    ba_2016.CLAIM,
    xiong_2020.CLAIM,
    yang_2021.CLAIM,
    lin_2017.CLAIM,
)
"""All claims, in the order of their table."""
