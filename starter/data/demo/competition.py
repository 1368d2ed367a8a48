"""Writes the built-in competition to disk, in the HW2P2 layout of F26, and its held-back answers
beside it.

Shapes: M images of one split, P pairs.
"""

import logging
import os
import string
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from starter.data.demo.drawing import render
from starter.data.demo.traits import Face, View, draw
from starter.data.pairs import make_pairs
from starter.errors import UserError
from starter.files import read_json, write_json, write_text
from starter.recipe.schema.data import DemoSection

log = logging.getLogger(__name__)

MANIFEST = "demo.json"
DRAWING = 1  # raised whenever the same section would draw other pictures
# Colour is not halved as JPEG usually does: at 32 pixels that would lose the eyes' colour.
SAMPLING = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92, *SAMPLING]
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits
# Streams of random numbers. Train, dev and test images show the people of "classify"; the pairs of
# val and of test show others.
STREAMS = {"train": 1, "dev": 2, "val": 4, "test": 5}
STREAMS |= {"face": 6, "order": 7, "pairs": 8, "names": 9, "classify": 10}


def answers_of(root: Path) -> Path:
    """Where the answers lie: beside the competition, so that nothing trains on them."""
    return root.with_name(f"{root.name}-answers")


def place_of(root: str | Path) -> Path:
    """The folder that `root` names, absolute; ~ and $NAME are expanded."""
    return Path(os.path.expandvars(root)).expanduser().absolute()


def make_demo(root: str | Path, **parameters: int) -> Path:
    """Draws a competition at `root` and its answers at `<root>-answers`, unless they are there.

    The same parameters give the same bytes (with the same opencv). Both folders are drawn beside
    root and renamed when complete, so that what is there is whole.

    Args:
        parameters: those of DemoSection, whose defaults hold.
    Returns:
        root, absolute.
    Raises:
        UserError: root is something else, or a competition of other parameters.
    """
    return ensure_demo(DemoSection(**parameters), root)


def ensure_demo(section: DemoSection, root: str | Path) -> Path:
    """`make_demo` with the parameters of a recipe's data.demo."""
    root, manifest = place_of(root), {"drawing": DRAWING, **section.model_dump()}
    if _is_there(manifest, root):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as scratch:
        drawn = Path(scratch) / "competition"
        _draw(section, drawn)
        # The answers first: a root means that all is there.
        for folder, place in ((answers_of(drawn), answers_of(root)), (drawn, root)):
            write_json(folder / MANIFEST, manifest)
            try:
                os.rename(folder, place)
            except OSError:  # another process may have been faster
                if _read_manifest(place) != manifest:
                    raise
    people = section.identities
    log.info("drawn: a competition of %d people at %s, answers beside it", people, root)
    return root


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

    def holds(what: str, ids: pd.Series) -> bool:
        absent = ids[~ids.isin(given.index)]
        if 0 < len(absent) < len(ids):
            raise UserError(f"{submission}: {len(absent)} of {len(ids)} test {what} are missing")
        return not len(absent)

    compared = {}
    if holds("images", images[0]):
        compared["predicted_M"] = given[images[0]].to_numpy(np.int64)
        compared["label_M"] = images[1].to_numpy(np.int64)
    by_row = "0" in given.index
    pair_ids = pairs.index.astype(str).to_series() if by_row else pairs[0] + " " + pairs[1]
    if holds("pairs", pair_ids):
        compared["score_P"] = given[pair_ids].to_numpy(np.float32)
        compared["same_P"] = pairs[2].to_numpy() == 1
    return Compared(**compared)


def _is_there(manifest: dict[str, int], root: Path) -> bool:
    """Whether both folders stand, of these parameters; UserError where anything else does."""
    for folder in (root, answers_of(root)):
        if not folder.exists():
            continue
        known = _read_manifest(folder)
        if known is None:
            raise UserError(
                f"{folder} is there and is not a built-in competition (no {MANIFEST}); "
                "choose another data.root, or leave data.demo out to use what is there"
            )
        other = [
            f"{key} {known.get(key)} there, {value} asked for"
            for key, value in manifest.items()
            if known.get(key) != value
        ]
        if other:
            raise UserError(
                f"{folder} was drawn with other parameters ({'; '.join(other)}); "
                "remove it and its answers, or choose another data.root"
            )
    return root.exists() and answers_of(root).exists()


def _read_manifest(folder: Path) -> dict | None:
    try:
        return read_json(folder / MANIFEST)
    except UserError:
        return None


def _draw(section: DemoSection, root: Path) -> None:
    answers = answers_of(root)
    answers.mkdir(parents=True)
    test_names, test_labels = _draw_classification(section, root)
    _write_rows(answers / "test_labels.txt", zip(test_names, test_labels, strict=True))
    test_pairs = _draw_verification(section, root)
    _write_rows(answers / "test_pairs.txt", test_pairs)
    keys = [f"{a} {b}" for a, b, _ in test_pairs]
    images, pairs = [f"{name},0" for name in test_names], [f"{key},0.0" for key in keys]
    rows = [f"{i},0.0" for i in range(len(keys))]
    for kind, header, lines in (
        ("classification", "id,label", images),
        ("verification", "ID,Label", rows),
        ("combined", "ID,Label", images + pairs),
    ):
        write_text(root / f"sample_submission_{kind}.csv", "\n".join([header, *lines]) + "\n")


def _draw_classification(section: DemoSection, root: Path) -> tuple[list[str], np.ndarray]:
    """cls_data of train, dev and test; returns the names and labels of test."""
    faces = _people(section, "classify", section.identities)
    few = max(2, section.images_per_identity // 5)
    for split, each in (("train", section.images_per_identity), ("dev", few), ("test", few)):
        folder = root / "cls_data" / split
        (folder / "images").mkdir(parents=True)
        # Shuffled: a file's number must not tell its label.
        order_M = _random(section, "order", STREAMS[split]).permutation(len(faces) * each)
        names = [f"{split}_{i:06d}.jpg" for i in range(len(order_M))]
        for name, i in zip(names, order_M.tolist(), strict=True):
            _write_picture(folder / "images" / name, section, split, faces, *divmod(i, each))
        label_M = order_M // each
        if split != "test":
            _write_rows(folder / "labels.txt", zip(names, label_M, strict=True))
    return names, label_M


def _draw_verification(section: DemoSection, root: Path) -> list[tuple[str, str, int]]:
    """ver_data and both pair files; returns the test pairs with their answers."""
    folder = root / "ver_data"
    folder.mkdir()
    half = section.verify_identities // 2
    each = _images_each(half, section.pairs)
    names = iter(_random_names(_random(section, "names"), section.verify_identities * each))
    for split, people in (("val", half), ("test", section.verify_identities - half)):
        faces = _people(section, split, people)
        identity_M = np.repeat(np.arange(people), each)
        name_M = [next(names) for _ in identity_M]
        for i, name in enumerate(name_M):
            _write_picture(folder / name, section, split, faces, *divmod(i, each))
        seed = int(_random(section, "pairs", STREAMS[split]).integers(2**31))
        made = make_pairs(identity_M, np.arange(len(identity_M)), section.pairs, seed)
        assert made.same_P is not None
        rows = [
            (name_M[a], name_M[b], int(same))
            for a, b, same in zip(made.a_P, made.b_P, made.same_P, strict=True)
        ]
        _write_rows(root / f"{split}_pairs.txt", rows if split == "val" else [r[:2] for r in rows])
    return rows


def _images_each(people: int, pairs: int) -> int:
    """The fewest images of each person, at least 4, that make enough pairs of both kinds."""
    each = 4
    while people * each * (each - 1) < pairs or people * (people - 1) * each**2 < pairs:
        each += 1
    return each


def _random(section: DemoSection, stream: str, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([section.seed, STREAMS[stream], *numbers])


def _people(section: DemoSection, group: str, count: int) -> list[Face]:
    """The same first people of a group, however many there are."""
    return [draw(Face, _random(section, "face", STREAMS[group], i)) for i in range(count)]


def _random_names(rng: np.random.Generator, count: int) -> list[str]:
    """Names like the real set's, "q6HIqRrx.jpg"; distinct on file systems that ignore case too."""
    names: dict[str, str] = {}
    while len(names) < count:
        name = "".join(LETTERS[i] for i in rng.integers(len(LETTERS), size=8)) + ".jpg"
        names.setdefault(name.lower(), name)
    return list(names.values())


def _write_picture(
    path: Path, section: DemoSection, split: str, faces: Sequence[Face], person: int, i: int
) -> None:
    view = draw(View, _random(section, split, person, i))
    image_HW3 = render(faces[person], view, section.image_size)
    # imencode and write, as imwrite cannot open every path on Windows.
    encoded, data = cv2.imencode(".jpg", image_HW3[..., ::-1], JPEG)
    assert encoded
    path.write_bytes(data.tobytes())


def _write_rows(path: Path, rows: Iterable) -> None:
    write_text(path, "".join(" ".join(map(str, row)) + "\n" for row in rows))
