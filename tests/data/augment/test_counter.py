"""The counter-based generator: its published answers, and what it is a function of."""

import numpy as np
import pytest

from starter.data.augment.step import philox, uniforms

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("key", "counter", "answer"),  # of the authors' kat_vectors
    [
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES, ONES), (ONES,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(key, counter, answer):
    assert tuple(int(part) for part in philox(key, counter)) == answer


def test_an_image_s_numbers_do_not_depend_on_its_batch():
    whole_BD = uniforms(2**40 + 3, 5, np.arange(100), 11)
    parts = [uniforms(2**40 + 3, 5, np.arange(i, i + 20), 11) for i in range(0, 100, 20)]
    np.testing.assert_array_equal(whole_BD, np.concatenate(parts))
    np.testing.assert_array_equal(whole_BD[:, :7], uniforms(2**40 + 3, 5, np.arange(100), 7))
    others = [
        uniforms(3, 5, np.arange(100), 11),
        uniforms(2**40 + 3, 6, np.arange(100), 11),
        uniforms(2**40 + 3, 5, np.arange(100) + 1, 11),
    ]
    assert not any(np.array_equal(whole_BD, other) for other in others)


def test_numbers_are_uniform_and_independent():
    u_BD = uniforms(1, 0, np.arange(20_000), 9)
    assert u_BD.min() > 0 and u_BD.max() < 1
    counts = np.stack([np.histogram(column, 20, (0, 1))[0] for column in u_BD.T])
    chi2 = ((counts - 1000) ** 2 / 1000).sum(1)
    assert (chi2 < 45).all()  # 19 degrees of freedom: p = 0.0007 each
    assert np.abs(np.corrcoef(u_BD.T) - np.eye(9)).max() < 5 / np.sqrt(20_000)
    assert abs(np.corrcoef(u_BD[1:, 0], u_BD[:-1, 0])[0, 1]) < 5 / np.sqrt(20_000)
