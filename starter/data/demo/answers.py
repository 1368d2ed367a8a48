"""The held-back answers of the built-in competition.

Shapes: M test images, P test pairs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.data.demo.competition import answers_of, place_of
from starter.errors import UserError


@dataclass(frozen=True, eq=False)
class Compared:
    """A submission beside the answers, in their order; None for what it does not hold.

    predicted_M, label_M: int64. score_P: float32; same_P: bool.
    """

    predicted_M: np.ndarray | None = None
    label_M: np.ndarray | None = None
    score_P: np.ndarray | None = None
    same_P: np.ndarray | None = None


def score(submission: str | Path, root: str | Path) -> Compared:
    """Lays a submission for the competition at `root` beside its answers.

    Ids are file names (a class), "a b" pairs or row numbers of the test pairs (a similarity).

    Raises:
        UserError: images or pairs are left out, or the submission or the answers are missing.
    """
    import pandas as pd

    folder = answers_of(place_of(root))
    try:
        given = pd.read_csv(submission, dtype={0: str}, index_col=0).iloc[:, 0]
        images, pairs = (
            pd.read_csv(folder / f"test_{what}.txt", sep=" ", header=None, dtype={0: str, 1: str})
            for what in ("labels", "pairs")
        )
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from error
    given.index = given.index.astype(str)
    pair_ids = pairs.index.astype(str) if "0" in given.index else pairs[0] + " " + pairs[1]
    values = []
    for what, ids in (("images", images[0]), ("pairs", pair_ids)):
        absent = ids[~ids.isin(given.index)]
        if 0 < len(absent) < len(ids):
            raise UserError(f"{submission}: {len(absent)} of {len(ids)} test {what} are missing")
        values.append(None if len(absent) else given[ids].to_numpy())
    predicted_M, score_P = values
    return Compared(
        predicted_M=None if predicted_M is None else predicted_M.astype(np.int64),
        label_M=None if predicted_M is None else images[1].to_numpy(np.int64),
        score_P=None if score_P is None else score_P.astype(np.float32),
        same_P=None if score_P is None else pairs[2].to_numpy() == 1,
    )
