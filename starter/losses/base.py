"""What every loss is: one class that carries its formula, its options and what it asks of a stage.

Shapes: B batch, D embedding, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, dataclass_transform

from pydantic import BaseModel, Field
from torch import Tensor, nn

from starter.losses import margins
from starter.recipe.named import options_model
from starter.recipe.schema.base import Fraction, Positive, Rate

if TYPE_CHECKING:
    Scale = Any  # a number once it is settled, a parameter or a buffer for some
else:
    Scale = Annotated[
        Positive | Literal["auto"],
        Field(description="s: the cosine times s is the logit; auto: from the number of classes"),
    ]
Angle = Annotated[float, Field(ge=0, lt=1.58, description="m, in radians")]
CosineMargin = Annotated[float, Field(ge=0, lt=2, description="m, on the cosine")]
Warmup = Annotated[
    Fraction, Field(description="the margin grows from 0 over this share of the stage")
]
Gradient = Annotated[
    Literal["exact", "detached"],
    Field(description="of the margin: its true slope, or the plain cosine's"),
]
Smoothing = Annotated[Rate, Field(description="share spread over all classes")]
Momentum = Annotated[Fraction, Field(description="share of a batch in the running statistics")]

# What the kit gives to a loss whose __init__ has an argument of this name.
GIVEN = ("embedding", "classes", "class_count_K")
FROM_RECIPE = frozenset({"margin_K", "class_weight_K"})  # buffers that a later stage makes anew
LOSSES: dict[str, type["Loss"]] = {}  # the kit's own, by kind


@dataclass(frozen=True)
class Target:
    """What a loss is given of a batch: a label of each image, or two where images are mixed.

    label_B, other_B: int64 in 0..K-1. share_B: float, 0..1, how much of each image is of label_B;
    None, as other_B is, where nothing is mixed.
    """

    label_B: Tensor
    other_B: Tensor | None = None
    share_B: Tensor | None = None

    def only_label_B(self) -> Tensor:
        """The one label of each image, for a loss that is not `mixable`."""
        assert self.other_B is None, "the loss has no meaning between two labels"
        return self.label_B


class Loss(nn.Module):
    """A loss term: (emb_BD, target, progress) -> the mean loss, a scalar.

    A subclass with a `kind` of its own is a loss of the kit. Its options are the arguments of its
    __init__, annotated with type, range and meaning.
    """

    kind: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    mixable: ClassVar[bool] = False  # whether a mixed image's two labels mean something to it
    mines_pairs: ClassVar[bool] = False  # whether it needs several images of a class in a batch
    whole_batch: ClassVar[bool] = False  # whether it is more than a mean over images
    separates: ClassVar[bool] = True  # whether it parts classes, so that it may stand alone
    refused: ClassVar[dict[str, str]] = {}  # options of other losses: why not here

    if not TYPE_CHECKING:

        def __init_subclass__(cls) -> None:
            if "kind" in cls.__dict__:
                LOSSES[cls.kind] = cls

    def __post_init__(self) -> None:
        """After the fields of an `options` class are set: parameters and buffers are made here."""
        nn.Module.__init__(self)

    def __call__(self, emb_BD: Tensor, target: Target | Tensor, progress: float = 1.0) -> Tensor:
        """The loss. A plain label_B is a target too; progress: the share of the stage, 0..1."""
        if isinstance(target, Tensor):
            target = Target(target)
        return super().__call__(emb_BD, target, progress)

    def forward(self, emb_BD: Tensor, target: Target, progress: float = 1.0) -> Tensor:
        """The mean loss, a scalar on emb_BD's device. emb_BD: any lengths, any float type.

        Unless a subclass says otherwise, `of_labels` without autocast.
        """
        with margins.full_precision(emb_BD):
            return self.of_labels(margins.wide(emb_BD), target.only_label_B(), progress)

    def of_labels(self, emb_BD: Tensor, label_B: Tensor, progress: float) -> Tensor:
        """`forward` of a loss of one label an image. emb_BD: float32, or float64 if given so."""
        raise NotImplementedError

    @property
    def counted_by(self) -> str | None:
        """The option that depends on the images of each class, or None."""
        return None

    @classmethod
    def mistakes(cls, options: Any) -> Iterator[tuple[str, str]]:
        """(option, message) of options that are right one by one but not together."""
        yield from ()


C = TypeVar("C", bound=type[Loss])


@dataclass_transform(kw_only_default=True)
def options(cls: C) -> C:
    """Makes the annotated attributes of a loss keyword arguments of its __init__.

    No default stays on the class: a parameter or a buffer may take the name of an option.
    """
    dataclass(kw_only=True, eq=False, repr=False)(cls)
    for option in fields(cls):  # type: ignore[arg-type]
        if option.name in cls.__dict__:
            delattr(cls, option.name)
    return cls


def options_of(loss: Callable) -> type[BaseModel]:
    """A pydantic model of a loss's options, with their types, ranges and defaults."""
    return options_model(loss, given=GIVEN)
