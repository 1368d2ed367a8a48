"""What a network costs: parameters, multiply-adds, activation memory, and speed on this machine.

Shapes: B batch, C H W image.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.benchmark import Timer

from starter.errors import UserError
from starter.models import registry
from starter.models.embedder import Embedder
from starter.models.registry import build, wrong_name
from starter.models.rules import count_parameters, gates, not_convolutional

PRIME = 7  # images counted at once: divides few numbers of channels


@dataclass(frozen=True)
class Cost:
    """Of one network. parameters: of backbone and neck; with_classes: and (K, D) class weights.
    gmac: billions of multiply-adds an image. activation_mb: megabytes (1e6) that the backward
    pass keeps an image, at 2 bytes a number (bf16; twice that in fp32). train, infer: images/s."""

    name: str
    stem: str
    parameters: int
    with_classes: int
    gmac: float
    activation_mb: float
    cnn_only: bool
    gates: list[str]
    train: float | None = None
    infer: float | None = None


@dataclass(frozen=True)
class Shape:
    """What a cost is of: the images, the embedding, the classes."""

    image_size: int = 112
    channels: int = 3
    embedding: int = 512
    classes: int = 8631

    def build(self, name: str, **options: Any) -> Embedder:
        """The embedder of this name and shape."""
        return build(
            name,
            in_channels=self.channels,
            image_size=self.image_size,
            embedding=self.embedding,
            **options,
        )

    def images(self, count: int, device: str) -> torch.Tensor:
        """Blank images (count, C, H, W)."""
        image = torch.zeros(count, self.channels, self.image_size, self.image_size, device=device)
        return image.contiguous(memory_format=torch.channels_last)


def cost(name: str, shape: Shape, *, measured: bool = False, **options: Any) -> Cost:
    """The network's cost, computed on shapes alone unless `measured`.

    Raises UserError for an unknown name, with the nearest ones.
    """
    if name in registry.NETWORKS:
        with torch.device("meta"):
            embedder = shape.build(name, **options)
    else:  # others' code may compute while it builds
        embedder = shape.build(name, **options).to("meta")
    inside = count_parameters([embedder])
    gmac, kept = _operations(embedder, shape.images(PRIME, "meta"))
    train = infer = None
    if measured:
        train, infer = speed(shape.build(name, **options), shape)
    return Cost(
        name=name,
        stem=getattr(embedder.backbone, "stem_kind", "its own"),
        parameters=inside,
        with_classes=inside + shape.classes * shape.embedding,
        gmac=round(gmac, 4),
        activation_mb=round(kept, 3),
        cnn_only=not not_convolutional(embedder),
        gates=gates(embedder),
        train=train,
        infer=infer,
    )


def _operations(embedder: Embedder, image_BCHW: torch.Tensor) -> tuple[float, float]:
    """(GMAC, MB kept for the backward pass) an image, of the embedder in training mode."""
    from torch.utils.flop_counter import FlopCounterMode

    count = len(image_BCHW)
    own_weights = {p.untyped_storage()._cdata for p in embedder.parameters()}
    kept: dict[int, torch.Tensor] = {}  # by storage: what two layers keep is kept once

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        key = tensor.untyped_storage()._cdata
        of_the_batch = tensor.ndim > 1 and len(tensor) % count == 0  # NFNet keeps weights besides
        if key not in own_weights and of_the_batch:
            kept[key] = tensor
        return tensor

    embedder.train()
    counter = FlopCounterMode(display=False)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), counter:
        result = embedder.neck(embedder.backbone(image_BCHW))  # autocast knows no meta device
    assert len(result) == count
    numbers = sum(tensor.numel() for tensor in kept.values())
    return counter.get_total_flops() / 2 / 1e9 / count, numbers * 2 / 1e6 / count


def speed(embedder: Embedder, shape: Shape, seconds: float = 2.0) -> tuple[float, float]:
    """(training, inference) images/s on the GPU, else the CPU, in bf16 and channels_last.

    Training is forward, backward and an SGD update of the embedder alone, on blank images.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    embedder.to(device)
    batch = 256 if device == "cuda" else 32
    image = shape.images(batch, device)
    optimizer = torch.optim.SGD(embedder.parameters(), lr=1e-6)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            emb = embedder(image)
        emb.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    def look() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
            embedder(image)

    rates = []
    for work, training in ((step, True), (look, False)):
        embedder.train(training)
        timer = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
        rates.append(round(batch / timer.blocked_autorange(min_run_time=seconds).median, 1))
    return rates[0], rates[1]


def listed(names: list[str]) -> list[str]:
    """The names to list: those given, else all of the kit's own."""
    for name in names:
        if wrong := wrong_name(name):
            raise UserError(wrong)
    return names or registry.backbone_names()
