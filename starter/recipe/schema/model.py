"""`model:` image -> embedding, and `rules:` what a competition allows."""

from typing import Annotated, Literal

from pydantic import Field

from starter.recipe.schema.base import Rate, Section

BACKBONE = "resnet18, ... (`python -m starter.models` lists them), timm/NAME or your net.py:Class"


class ModelSection(Section):
    """The embedder: a backbone and a neck."""

    backbone: Annotated[str, Field(min_length=1, description=BACKBONE)] = "resnet18"
    embedding: Annotated[int, Field(ge=2, le=8192, description="D, the embedding's size")] = 512
    stem: Annotated[
        Literal["auto", "7x7/2", "3x3/2", "3x3/1", "4x4/4", "2x2/2"],
        Field(description="first layer; auto takes it from the family and the image size"),
    ] = "auto"
    pool: Annotated[
        Literal["auto", "avg", "gem", "flatten", "depthwise"],
        Field(
            description="of the last map: average, generalised mean, every place, a weight per "
            "place; auto: as published"
        ),
    ] = "auto"
    neck: Annotated[
        Literal["identity", "linear", "bn"],
        Field(
            description="after pooling: nothing, Linear + BatchNorm, or BatchNorm alone; "
            "identity and bn need embedding = the backbone's width"
        ),
    ] = "linear"
    drop_path: Annotated[Rate, Field(description="stochastic depth at the last block")] = 0.0
    drop_block: Annotated[
        Rate, Field(description="share of the maps dropped in squares, in the last two stages")
    ] = 0.0
    layer_scale: Annotated[
        float | None,
        Field(ge=0, description="first value of a factor per channel on each branch; 0 for none"),
    ] = None
    zero_init_last: Annotated[
        bool | None, Field(description="blocks start as the identity; null: as published")
    ] = None
    dropout: Annotated[Rate, Field(description="before the neck")] = 0.0
    pretrained: Annotated[bool, Field(description="timm weights; needs internet")] = False
    init_from: Annotated[
        str | None,
        Field(min_length=1, description="a .safetensors or .pth file with the backbone's weights"),
    ] = None


class RulesSection(Section):
    """A competition's rules, checked before the first batch."""

    max_parameters: Annotated[
        int | None, Field(ge=1, description="of the embedder and its heads together")
    ] = None
    from_scratch: Annotated[bool, Field(description="refuse pretrained weights")] = False
    cnn_only: Annotated[bool, Field(description="refuse attention and recurrence")] = False
