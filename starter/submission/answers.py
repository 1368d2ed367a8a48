"""What a run says of its test data, and which of it a row of a submission asks for.

Shapes: M test images, P test pairs, T unknown faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, NamedTuple

import numpy as np

from starter.errors import UserError
from starter.submission.shapes import Ranked, Shape, cells_of
from starter.submission.table import first_five

Kind = Literal["image", "pair", "face"]


class Ask(NamedTuple):
    """What a row asks for: the class of an image, the similarity of a pair, who a face is.

    number: which image, pair or face, in the order of the answers.
    """

    kind: Kind
    number: int


@dataclass(frozen=True)
class Answers:
    """Names that ids refer to, and the answers in their order.

    test_names: M file names. class_of_test: their M classes as text; None: not predicted.
    pair_names: P pairs of file names. score_P: float32 (P).
    classes: every class in order; where a submission has numbers for classes, the place here.
    match_of_face: T known people, or the word for nobody.
    pair_ids: P ids of pairs as the pair file spells them; None: both names.
    ranked: the likeliest classes of the test images, where a sample may ask for more than one.
    nobody_below: the probability below which an image is of no class; None: not known.
    """

    test_names: Sequence[str] = ()
    class_of_test: Sequence[str] | None = None
    pair_names: Sequence[tuple[str, str]] = ()
    score_P: np.ndarray | Sequence[float] = ()
    classes: Sequence[str] = field(default=(), repr=False)
    match_of_face: Sequence[str] = ()
    pair_ids: Sequence[str] | None = None
    ranked: Ranked | None = None
    nobody_below: float | None = None

    def __post_init__(self) -> None:
        assert self.class_of_test is None or len(self.class_of_test) == len(self.test_names)
        assert len(self.pair_names) == len(self.score_P)

    @property
    def count(self) -> dict[Kind, int]:
        """How many there are to answer of each kind."""
        return {
            "image": len(self.test_names),
            "pair": len(self.pair_names),
            "face": len(self.match_of_face),
        }

    def __bool__(self) -> bool:
        """Whether there is anything to hand in."""
        return any(self.count.values())

    def cells(self, asks: Sequence[Ask], shape: Shape, *, numbered: bool) -> list[tuple[str, ...]]:
        """What stands after the id of each row, as text; scores have 9 significant digits, so that
        a float32 reads back the same.

        shape: of the rows that ask about an image. numbered: classes are written as their place
        among `classes`.

        Raises:
            UserError: no classes were predicted, or a score is not finite.
        """
        kinds = {ask.kind for ask in asks}
        if "image" in kinds and self.class_of_test is None:
            raise UserError("the submission asks for classes of images, but the run predicts none")
        pairs = zip(self.pair_names, self.score_P, strict=True)
        bad = [f"{a} {b}" for (a, b), score in pairs if not isfinite(score)]
        if "pair" in kinds and bad:
            raise UserError(f"{len(bad)} scores of test pairs are not finite: {first_five(bad)}")
        cells_of_kind: dict[Kind, Sequence[tuple[str, ...]]] = {
            "image": self._image_cells(shape, numbered) if "image" in kinds else (),
            "pair": [(f"{float(score):.9g}",) for score in self.score_P],
            "face": [(person,) for person in self.match_of_face],
        }
        return [cells_of_kind[ask.kind][ask.number] for ask in asks]

    def _image_cells(self, shape: Shape, numbered: bool) -> list[tuple[str, ...]]:
        if shape.nobody is not None and self.nobody_below is None:
            raise UserError(
                f"the sample's {shape.nobody} is no class of the data, and no threshold says when "
                "it is meant: that is fitted on dev images and on identities held out of training "
                "(data.pairs: {hold_out: 0.1}) of one run"
            )
        if shape.kind != "class" or shape.nobody is not None:
            if self.ranked is None:
                raise UserError(f"the sample asks for {shape.words}, but the run ranks none")
            names = list(map(str, range(len(self.classes)))) if numbered else self.classes
            return cells_of(shape, self.ranked, names, self.nobody_below or 0.0)
        class_of_test = self.class_of_test or ()
        if numbered:
            place = {name: str(k) for k, name in enumerate(self.classes)}
            class_of_test = [place[name] for name in class_of_test]
        return [(name,) for name in class_of_test]
