"""`data:` what there is to see, and `augment:` how training images vary."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from starter.recipe.schema.base import Fraction, Misfit, Named, Positive, Section, SizeKey

Fit = Literal["squash", "pad", "crop"]
Statistics = Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=3)]


class DemoSection(Section):
    """The built-in competition, drawn at `data.root` when nothing is there yet."""

    identities: Annotated[int, Field(ge=4, description="people to classify")] = 48
    verify_identities: Annotated[int, Field(ge=4, description="other people, to verify")] = 48
    images_per_identity: Annotated[int, Field(ge=4, description="training images of each")] = 40
    image_size: Annotated[int, Field(ge=16, le=512, description="pixels a side")] = 32
    pairs: Annotated[int, Field(ge=20, description="verification pairs, each of val and test")] = (
        2000
    )
    seed: Annotated[int, Field(ge=0, description="which competition is drawn")] = 0


class PairsSection(Section):
    """Validation pairs for a data set that ships none: identities held out of training."""

    count: Annotated[int, Field(ge=2, description="pairs, half of them genuine")] = 10_000
    hold_out: Annotated[
        Positive,
        Field(
            description="classes kept out of training (a fraction below 1, or how many), "
            "where there is no verify split"
        ),
    ] = 0.1
    hold_out_test: Annotated[
        Positive | None,
        Field(
            description="further classes kept out (of the rest), whose pairs only verify.py "
            "measures: nothing is chosen by them"
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, description="which classes and pairs are drawn")] = 0


class SplitsSection(Section):
    """Sub-folders (or built-in parts) of each split, where the names are not the usual ones."""

    train: Annotated[str | None, Field(description="folder of training images")] = None
    dev: Annotated[str | None, Field(description="folder of labelled validation images")] = None
    test: Annotated[str | None, Field(description="folder of images to classify")] = None
    verify: Annotated[
        str | None, Field(description="folder of other identities, for validation pairs")
    ] = None


class SplitSection(Section):
    """Which train images become the dev split, where the set has none."""

    dev: Annotated[
        float, Field(ge=0, lt=1, description="share of the train images; 0 for none")
    ] = 0.1
    by: Annotated[
        Literal["stratified", "group", "stratified_group", "time", "column"],
        Field(
            description="a share of each class, whole groups of column, the last by column, or the "
            "rows that column marks"
        ),
    ] = "stratified"
    column: Annotated[str | None, Field(description="of the set's table, for `by`")] = None

    @model_validator(mode="after")
    def _column_fits(self) -> "SplitSection":
        if (self.by == "stratified") != (self.column is None):
            message = "needs a column" if self.column is None else "takes no column"
            raise Misfit([(("by",), f"{self.by} {message} of the set's table (data.split.column)")])
        return self


class DataSection(Section):
    """What there is to see and where it lies."""

    layout: Annotated[
        str,
        Field(
            min_length=1,
            description="how the set lies on disk (docs/layouts.md), auto to recognise it, or "
            "path/to/file.py:function",
        ),
    ] = "hw2p2"
    options: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="keyword arguments of the layout's reader"),
    ]
    root: Annotated[str, Field(min_length=1, description="the folder; ~ and $NAME are expanded")]
    image_size: Annotated[
        SizeKey, Field(description="pixels a side, or [height, width]; images are fitted to it")
    ] = 112
    fit: Annotated[
        Fit,
        Field(
            description="squash to the size; pad: keep the aspect, fill up with black; crop: keep "
            "it, cut out the middle"
        ),
    ] = "squash"
    channels: Annotated[Literal[1, 3], Field(description="3 for RGB, 1 for grey")] = 3
    mean: Annotated[Statistics, Field(description="subtracted, on the 0..1 scale")] = (0.5,)
    std: Annotated[Statistics, Field(description="divided by, on the 0..1 scale")] = (0.5,)
    splits: Annotated[SplitsSection, Field(description="where each split lies")] = SplitsSection()
    split: Annotated[
        SplitSection,
        Field(description="the dev split, where the set has none; in short dev_fraction"),
    ] = SplitSection()
    pairs: Annotated[
        PairsSection | None,
        Field(description="make validation pairs, where the set ships none"),
    ] = None
    imbalance: Annotated[
        float,
        Field(ge=1, description="leaves images out: the first class has this times the last"),
    ] = 1.0
    new_classes: Annotated[
        tuple[Literal["rot90", "rot180", "rot270", "hflip", "vflip"], ...],
        Field(strict=False, description="training images turned so are new classes; not for faces"),
    ] = ()
    demo: Annotated[
        DemoSection | None, Field(description="draw the built-in competition at root")
    ] = None
    download: Annotated[
        bool, Field(description="fetch the set into root first, where torchvision can")
    ] = False
    cache: Annotated[str, Field(description="folder for the packed images")] = "cache"
    workers: Annotated[
        Annotated[int, Field(ge=0)] | Literal["auto"],
        Field(description="processes that augment; 0 for a thread"),
    ] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, values: Any) -> Any:
        """`dev_fraction: x` is `split: {dev: x, by: stratified}`."""
        if not isinstance(values, dict) or "dev_fraction" not in values or "split" in values:
            return values
        rest = {key: value for key, value in values.items() if key != "dev_fraction"}
        return rest | {"split": {"dev": values["dev_fraction"]}}

    @model_validator(mode="after")
    def _statistics_fit(self) -> "DataSection":
        counts = "1 value" if self.channels == 1 else f"1 or {self.channels} values"
        mistakes: list[tuple[tuple[str | int, ...], str]] = [
            ((key,), f"should have {counts}: one for each channel (got {list(values)})")
            for key, values in (("mean", self.mean), ("std", self.std))
            if len(values) not in (1, self.channels)
        ]
        if self.std and min(self.std) <= 0:
            mistakes.append((("std",), f"should be greater than 0 (got {list(self.std)})"))
        if mistakes:
            raise Misfit(mistakes)
        return self


class AugmentStep(Named):
    """One step of how a training image varies; the other keys are its class's arguments."""

    kind: Annotated[
        str,
        Field(
            min_length=1,
            description="an albumentations class, tv/NAME: torchvision's, or your aug.py:Step",
        ),
    ]


class MixSection(Section):
    """Mixed images: lambda is drawn from Beta(alpha, alpha) once a batch."""

    mixup: Annotated[float, Field(ge=0, description="alpha of mixup; 0 is off")] = 0.0
    cutmix: Annotated[float, Field(ge=0, description="alpha of cutmix; 0 is off")] = 0.0
    probability: Annotated[
        float, Field(ge=0, le=1, description="share of batches that are mixed")
    ] = 1.0

    @property
    def on(self) -> bool:
        """Whether any batch is mixed."""
        return self.probability > 0 and (self.mixup > 0 or self.cutmix > 0)


class ShuffleSampler(Section):
    """Every image once an epoch, in an order drawn from (seed, epoch)."""

    kind: Annotated[Literal["shuffle"], Field(description="this sampler")] = "shuffle"


class PKSampler(Section):
    """Batches of P identities with K images each, for pair and triplet losses."""

    kind: Annotated[Literal["pk"], Field(description="this sampler")]
    images: Annotated[int, Field(ge=2, description="K: images of each identity")] = 4


class BalancedSampler(Section):
    """Images drawn with replacement, rare classes more often; as many an epoch as shuffle takes."""

    kind: Annotated[Literal["balanced"], Field(description="this sampler")]
    power: Annotated[
        Fraction,
        Field(description="an image of a class of n weighs n^-power: 1 evens classes, 0 nothing"),
    ] = 0.5
    least: Annotated[int, Field(ge=0, description="draws of each class an epoch, at least")] = 0


Sampler = Annotated[ShuffleSampler | PKSampler | BalancedSampler, Field(discriminator="kind")]
