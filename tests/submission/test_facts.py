"""What a ledger line says of a run, and the sentences of submit.py about it."""

import numpy as np
import pytest
from scipy import stats

from starter.cli.words import trust_line
from starter.errors import UserError
from starter.submission.facts import facts, fill_message, wilson


def test_wilsons_interval_equals_scipys():
    for hits, count in ((80, 100), (0, 16), (16, 16), (3, 16)):
        oracle = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
        assert wilson(hits / count, count) == pytest.approx((oracle.low, oracle.high), abs=1e-6)


def test_a_bare_csv_has_no_facts_and_dashes_in_its_message():
    known = facts(None)
    assert set(dict(known).values()) == {None}
    text = fill_message("{run} {combined} {accuracy} {eer} {commit} {stage} plain {} {x y}", known)
    assert text == "- - - - - - plain {} {x y}"
    with pytest.raises(UserError, match="did you mean 'commit'"):
        fill_message("{comit}", known)


def sentence(points, r, interval) -> str:
    gap = float(np.mean([y - x for x, y in points]))
    return trust_line(
        {
            "points": points,
            "metric": "combined",
            "score": "public",
            "gap": gap,
            "gap_deviation": 0.01,
            "correlation": r,
            "interval": interval,
        }
    )


def test_trust_is_only_claimed_where_the_interval_says_so():
    points = [(0.9, 0.8)] * 5
    assert "can be trusted" in sentence(points, 0.99, (0.8, 1.0))
    assert "do not choose by validation" in sentence(points, -0.2, (-0.8, 0.4))
    assert "too few submissions" in sentence(points, 0.9, (0.1, 0.99))
    assert "too few submissions" in sentence(points[:3], 0.9, None)
    assert "correlation needs three, gap -0.1000" in sentence(points[:2], None, None)
