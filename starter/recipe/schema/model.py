"""`model:` image -> embedding, and `rules:` what a competition allows."""

from typing import Annotated, Literal

from pydantic import Field

from starter.recipe.schema.base import Rate, Section


class ModelSection(Section):
    """The embedder: a backbone and a neck."""

    backbone: Annotated[str, Field(min_length=1, description="resnet18, ... or timm/NAME")] = (
        "resnet18"
    )
    embedding: Annotated[int, Field(ge=2, le=8192, description="D, the embedding's size")] = 512
    stem: Annotated[
        Literal["auto", "7x7/2", "3x3/2", "3x3/1"],
        Field(description="first layer; auto takes it from the image size"),
    ] = "auto"
    neck: Annotated[
        Literal["identity", "linear", "bn"],
        Field(
            description="after pooling: nothing, Linear + BatchNorm, or BatchNorm alone; "
            "identity and bn need embedding = the backbone's width"
        ),
    ] = "linear"
    drop_path: Annotated[Rate, Field(description="stochastic depth at the last block")] = 0.0
    dropout: Annotated[Rate, Field(description="before the neck's linear layer")] = 0.0
    pretrained: Annotated[bool, Field(description="timm weights; needs internet")] = False


class RulesSection(Section):
    """A competition's rules, checked before the first batch."""

    max_parameters: Annotated[
        int | None, Field(ge=1, description="of the embedder and its heads together")
    ] = None
    from_scratch: Annotated[bool, Field(description="refuse pretrained weights")] = False
    cnn_only: Annotated[bool, Field(description="refuse attention and recurrence")] = False
