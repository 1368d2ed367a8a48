"""`verify:` how pairs are scored, and `submission:` the file to hand in."""

from typing import Annotated, Literal

from pydantic import Field

from starter.recipe.schema.base import Section


class VerifySection(Section):
    """Embedding and scoring."""

    tta: Annotated[
        tuple[Literal["hflip"], ...],
        Field(strict=False, description="views averaged with the plain one"),
    ] = ()
    batch_size: Annotated[int, Field(ge=1, description="images embedded at once")] = 128
    stage: Annotated[str | None, Field(description="embed with this stage; else the best")] = None
    resamples: Annotated[int, Field(ge=0, description="bootstrap resamples of intervals")] = 1000


class SubmissionSection(Section):
    """What is handed in, and to whom."""

    competition: Annotated[str | None, Field(description="the competition's slug")] = None
    sample: Annotated[
        str | None, Field(description="sample submission, absolute or under data.root")
    ] = None
    format: Annotated[
        Literal[
            "verification", "classification", "identification", "combined", "s19_classification",
            "s19_verification", "s20_classification", "s20_verification", "f20_verification",
            "s21_classification", "s21_verification", "f21_classification", "f21_verification",
            "s22_classification", "s22_verification", "f22_classification", "f22_identification",
            "s23_classification", "s23_identification", "f23_classification",
            "f23_identification", "s24_classification", "s24_identification", "f24_verification",
            "s25_verification", "f25_verification", "s26_verification", "f26_combined",
        ],
        Field(description="what to write where there is no sample"),
    ] = "verification"
