"""`verify:` how pairs are scored, and `submission:` the file to hand in."""

from typing import Annotated, Literal

from pydantic import Field

from starter.recipe.schema.base import Fraction, Section


class ThresholdSection(Section):
    """Where a pair is called the same identity, fitted on the labelled pairs."""

    at: Annotated[
        Literal["eer", "far"],
        Field(description="where both errors are equal, or at a false accept rate"),
    ] = "eer"
    far: Annotated[
        float, Field(gt=0, lt=1, description="the rate, as a fraction; F impostor pairs tell 1/F")
    ] = 0.01


class TransductiveSection(Section):
    """Other images to be scored change a pair's score, so it is not that of the two pictures alone:
    many competitions forbid it, and in use there are no such other images. Off by default."""

    query_expansion: Annotated[
        int, Field(ge=0, description="nearest images averaged into each embedding; 0: off")
    ] = 0
    alpha: Annotated[
        float, Field(ge=0, description="they weigh their cosine to this power; 0: all the same")
    ] = 3.0
    rerank: Annotated[
        bool, Field(description="scores by shared k-reciprocal neighbours (Zhong et al. 2017)")
    ] = False
    k1: Annotated[int, Field(ge=1, description="neighbours that must be mutual")] = 20
    k2: Annotated[int, Field(ge=1, description="neighbours whose sets are averaged")] = 6
    original: Annotated[Fraction, Field(description="share of the cosine in the new score")] = 0.3

    @property
    def on(self) -> bool:
        """Whether anything of it is asked for."""
        return self.query_expansion > 0 or self.rerank


class VerifySection(Section):
    """Embedding and scoring.

    Views (`tta`): hflip, the mirror image (of every other view too); shift, moved by 1/16 of a side
    in 4 directions; zoom, the middle 7/8 of a side, enlarged; corners, the 4 corners of 7/8 of a
    side, enlarged. Embeddings of views are averaged as they are, then scaled to length 1.
    """

    tta: Annotated[
        tuple[Literal["hflip", "shift", "zoom", "corners"], ...],
        Field(strict=False, description="views whose embeddings are averaged with the plain one"),
    ] = ()
    batch_size: Annotated[int, Field(ge=1, description="images embedded at once")] = 128
    stage: Annotated[str | None, Field(description="embed with this stage; else the best")] = None
    resamples: Annotated[int, Field(ge=0, description="bootstrap resamples of intervals")] = 1000
    calibration: Annotated[
        Literal["platt", "isotonic"],
        Field(description="from scores to probabilities, fitted on the labelled pairs"),
    ] = "platt"
    threshold: Annotated[ThresholdSection, Field(description="when two pictures are the same")] = (
        ThresholdSection()
    )
    transductive: Annotated[
        TransductiveSection, Field(description="scores that depend on the other images; see there")
    ] = TransductiveSection()


class SubmissionSection(Section):
    """What is handed in, and to whom."""

    competition: Annotated[str | None, Field(description="the competition's slug")] = None
    sample: Annotated[
        str | None, Field(description="sample submission, absolute or under data.root")
    ] = None
    format: Annotated[
        Literal[
            "verification",
            "classification",
            "identification",
            "combined",
            "s19_classification",
            "s19_verification",
            "s20_classification",
            "s20_verification",
            "f20_verification",
            "s21_classification",
            "s21_verification",
            "f21_classification",
            "f21_verification",
            "s22_classification",
            "s22_verification",
            "f22_classification",
            "f22_identification",
            "s23_classification",
            "s23_identification",
            "f23_classification",
            "f23_identification",
            "s24_classification",
            "s24_identification",
            "f24_verification",
            "s25_verification",
            "f25_verification",
            "s26_verification",
            "f26_combined",
        ]
        | None,
        Field(
            description="what to write where there is no sample; null: verification where there "
            "are pairs, else classification"
        ),
    ] = None
