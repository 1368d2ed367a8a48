"""Every year's tree as the competition's notes have it, small, and what a plain reading finds.

A tree is written from lists of paths; the expectation beside it is spelled out by hand or read with
glob, never with the readers.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.data.trees import write


@dataclass
class Expected:
    """What a plain reading finds, paths relative to `base`."""

    base: Path
    layout: str
    classes: list[str]
    train: list[tuple[str, str]]
    dev: list[tuple[str, str]]
    test: list[str]  # in the order of the submission
    val: list[tuple[str, str, bool]] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    known: list[tuple[str, str]] = field(default_factory=list)
    unknown_dev: list[tuple[str, str | None]] = field(default_factory=list)
    unknown_test: list[str] = field(default_factory=list)
    pair_texts: list[str] | None = None


def images(root: Path, *names: str) -> None:
    for i, name in enumerate(names):
        write(root / name, hash_of(name) + i)


def hash_of(name: str) -> int:
    return sum(ord(letter) * (i + 1) for i, letter in enumerate(name))


def classes_of(root: Path, folder: str, sizes: dict[str, int]) -> list[tuple[str, str]]:
    """A folder per class; (path, class) as sorted glob lists them."""
    for name, size in sizes.items():
        images(root, *(f"{folder}/{name}/{i}.jpg" for i in range(size)))
    paths = sorted(path.relative_to(root).as_posix() for path in (root / folder).glob("*/*.jpg"))
    return [(path, path.split("/")[-2]) for path in paths]


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def within(folder: str, pairs: list) -> list:
    """Pairs of bare names as pairs of paths, with whether they are the same where that is known."""
    return [(f"{folder}/{a}", f"{folder}/{b}", *same) for a, b, *same in pairs]


def numbered(folder: str, count: int) -> list[str]:
    return [f"{folder}/{i:06d}.jpg" for i in range(count)]


CLASSES = ["n000002", "n000010"]
VAL = [("b.jpg", "a.jpg", True), ("a.jpg", "c.jpg", False), ("b.jpg", "c.jpg", False)]
TEST = [("e.jpg", "a.jpg"), ("e.jpg", "d.jpg")]


def with_labels(root: Path, inner: str, *, test: str, csv: bool = False) -> Expected:
    """S25 to F26: labels.txt beside images/; test labelled ("labels"), unlabelled or absent.

    csv: pairs with commas and a header.
    """
    base = root / inner
    rows_of: dict[str, list[tuple[str, str]]] = {}
    for split, each in (("train", 3), ("dev", 2), ("test", 1)):
        if split == "test" and test == "absent":
            continue
        names = [f"{split}_{i:06d}.jpg" for i in (4, 2, 0, 5, 3, 1)[: 2 * each]]
        images(base, *(f"cls_data/{split}/images/{name}" for name in names))
        rows = [(name, str(i % 2)) for i, name in enumerate(names)]
        if split != "test" or test == "labels":
            text(base / f"cls_data/{split}/labels.txt", *(" ".join(row) for row in rows))
        rows_of[split] = [(f"cls_data/{split}/images/{name}", label) for name, label in rows]
    images(base, *(f"ver_data/{x}.jpg" for x in "abcdef"))
    comma, suffix = (",", ".csv") if csv else (" ", ".txt")
    lines = [comma.join([a, b, str(int(same))]) for a, b, same in VAL]
    text(base / f"val_pairs{suffix}", *["a,b,c"][:csv], *lines)
    text(base / f"test_pairs{suffix}", *["a,b"][:csv], *map(comma.join, TEST))
    test_names = sorted(name for name, _ in rows_of.get("test", []))
    pairs = within("ver_data", VAL), within("ver_data", TEST)
    return Expected(base, "hw2p2", ["0", "1"], rows_of["train"], rows_of["dev"], test_names, *pairs)


def f24(root: Path, *, csv: bool = False) -> Expected:
    base = root / "11-785-f24-hw2p2-verification"
    expected = with_labels(base, "", test="absent", csv=csv)
    shutil.rmtree(base / "cls_data")
    expected.classes = CLASSES
    expected.train = classes_of(base, "cls_data/train", {"n000010": 2, "n000002": 3})
    expected.dev = classes_of(base, "cls_data/dev", {"n000010": 1, "n000002": 1})
    return expected


def identify(root: Path, classification: str, verification: str, answers: str) -> Expected:
    """F22 to S24: train, dev, flat test; known/, unknown_dev, unknown_test."""
    train = classes_of(root, f"{classification}train", {"n000010": 3, "n000002": 2})
    dev = classes_of(root, f"{classification}dev", {"n000010": 1, "n000002": 1})
    images(root, *(test := numbered(f"{classification}test", 3)))
    known = [
        (f"{verification}known/{who}/{who}_{i}.jpg", who)
        for who in ("n000100", "n000200")
        for i in range(2)
    ]
    images(root, *(name for name, _ in known))
    who = ["n000200", "n000100" if answers == "dev_identities.csv" else "n000000", "n000100"]
    unknown = numbered(f"{verification}unknown_dev", 3)
    unknown_test = numbered(f"{verification}unknown_test", 4)
    images(root, *unknown, *unknown_test)
    lines = [f"{i},{name}" for i, name in enumerate(who)]
    text(root / f"{verification}{answers}", "id,label", *lines)
    people = [None if name == "n000000" else name for name in who]
    return Expected(
        root,
        "hw2p2_f22",
        CLASSES,
        train,
        dev,
        test,
        known=known,
        unknown_dev=list(zip(unknown, people, strict=True)),
        unknown_test=unknown_test,
    )


def s22(root: Path) -> Expected:
    cls = "11-785-s22-hw2p2-classification"
    inner = f"{cls}/classification/classification/"
    classes_of(root, f"{cls}/train_subset/train_subset", {"n000002": 1, "n000010": 1})
    train = classes_of(root, f"{inner}train", {"n000010": 3, "n000002": 2})
    dev = classes_of(root, f"{inner}dev", {"n000010": 1, "n000002": 1})
    images(root, *(test := numbered(f"{inner}test", 3)))
    ver = "11-785-s22-hw2p2-verification"
    faces = f"{ver}/verification/verification"
    images(root, *(f"{faces}/{split}/{x}.jpg" for split in ("dev", "test") for x in "abcde"))
    text(
        root / ver / "verification_dev.csv",
        "path1,path2,match",
        *(f"dev/{a},dev/{b},{int(same)}" for a, b, same in VAL),
    )
    text(
        root / ver / "verification_test.csv",
        "path1,path2",
        *(f"verification/test/{a},verification/test/{b}" for a, b in TEST),
    )
    pairs = within(f"{faces}/dev", VAL), within(f"{faces}/test", TEST)
    return Expected(root, "hw2p2_s22", CLASSES, train, dev, test, *pairs)


def f21(root: Path) -> Expected:
    """A flat test split in numeric order; verification_data doubled; bare names."""
    train = classes_of(root, "train_data", {"10": 2, "9": 3})
    dev = classes_of(root, "val_data", {"10": 1, "9": 1})
    test = [f"test_data/{i}.jpg" for i in range(12)]
    images(root, *test)
    faces = "verification_data/verification_data"
    images(root, *(f"{faces}/{x}.jpg" for x in "abcde"))
    text(root / "verification_pairs_val.txt", *(f"{a} {b} {int(same)}" for a, b, same in VAL))
    text(root / "verification_pairs_test.txt", *(f"{a} {b}" for a, b in TEST))
    text(root / "verification_solution_sample.csv", "Id,Category", "e.jpg a.jpg,0", "e.jpg d.jpg,0")
    pairs = within(faces, VAL), within(faces, TEST)
    return Expected(root, "hw2p2_f20", ["10", "9"], train, dev, test, *pairs)


def s21(root: Path, *, order: bool = True) -> Expected:
    """Paths from the data root in the pair files, labels above 1, an order of the test images.

    Without the order it is F20's.
    """
    inside = "classification_data"
    train = classes_of(root, f"{inside}/train_data", {"10": 2, "9": 3})
    dev = classes_of(root, f"{inside}/val_data", {"10": 1, "9": 1})
    images(root, *(f"{inside}/test_data/{i}.jpg" for i in range(3)))
    test = [f"{inside}/test_data/{i}.jpg" for i in ((1, 2, 0) if order else (0, 1, 2))]
    if order:
        text(root / "classification_test.txt", "1.jpg", "2.jpg", "0.jpg")
    faces = "verification_data"
    images(root, *(f"{faces}/{x}.jpg" for x in "abcde"))
    text(
        root / "verification_pairs_val.txt",
        *(f"{faces}/{a} {faces}/{b} {2 * same}" for a, b, same in VAL),
    )
    text(root / "verification_pairs_test.txt", *(f"{faces}/{a} {faces}/{b}" for a, b in TEST))
    pairs = within(faces, VAL), within(faces, TEST)
    texts = [" ".join(pair) for pair in pairs[1]]
    return Expected(root, "hw2p2_f20", ["10", "9"], train, dev, test, *pairs, pair_texts=texts)


def s20(root: Path, *, s19: bool = False) -> Expected:
    """Classes of medium/ and large/ together; trial files."""
    train = classes_of(root, "train_data/medium", {"10": 2, "9": 2})
    train += classes_of(root, "train_data/large", {"8": 3})
    dev = classes_of(root, "validation_classification/medium", {"10": 1, "9": 1})
    dev += classes_of(root, "validation_classification/large", {"8": 1})
    images(root, *(f"test_classification/medium/{i}.jpg" for i in range(3)))
    text(root / "test_order_classification.txt", "2.jpg", "0.jpg", "1.jpg")
    test_faces = "test_veri_T_new" if s19 else "test_verification"
    val_faces = "validation_verification"
    images(root, *(f"{f}/{x}.jpg" for f in (test_faces, val_faces) for x in "abcde"))
    text(
        root / "validation_trials_verification.txt", *(f"{a} {b} {int(same)}" for a, b, same in VAL)
    )
    trials = "trials_test_new.txt" if s19 else "test_trials_verification_student.txt"
    text(root / trials, *(f"{a} {b}" for a, b in TEST))
    train, dev = (sorted(rows, key=lambda row: row[1]) for rows in (train, dev))
    test = [f"test_classification/medium/{i}.jpg" for i in (2, 0, 1)]
    pairs = within(val_faces, VAL), within(test_faces, TEST)
    return Expected(root, "hw2p2_s19", ["10", "8", "9"], train, dev, test, *pairs)


IDENTIFY = (
    (
        "F22",
        "11-785-f22-hw2p2-classification/classification/",
        "11-785-f22-hw2p2-verification/",
        "dev_identities.csv",
    ),
    ("S23", "11-785-s23-hw2p2-classification/", "", "verification_dev.csv"),
    (
        "F23",
        "11-785-f23-hw2p2-classification/",
        "11-785-f23-hw2p2-verification/verification/verification/",
        "verification_dev.csv",
    ),
    (
        "S24",
        "11785-hw2p2-face-recognition/",
        "11785-hw2p2-face-verification/11-785-s24-hw2p2-verification/",
        "verification_dev.csv",
    ),
)
YEARS: dict[str, Callable[[Path], Expected]] = {
    "S19": lambda root: s20(root, s19=True),
    "S20": s20,
    "F20": lambda root: s21(root, order=False),
    "S21": s21,
    "F21": f21,
    "S22": s22,
    **{
        year: partial(identify, classification=one, verification=other, answers=answers)
        for year, one, other, answers in IDENTIFY
    },
    "F24": f24,
    "F24 csv": lambda root: f24(root, csv=True),
    "S25": lambda root: with_labels(root, "HW2p2_S25", test="labels"),
    "F25": lambda root: with_labels(root, "hw2p2_puru_aligned", test="labels"),
    "S26": lambda root: with_labels(root, "hw2p2_data", test="labels"),
    "F26": lambda root: with_labels(root, "hw2p2_data", test="unlabelled"),
}
