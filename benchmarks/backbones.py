"""Every backbone through what the tests have no time for: all sizes, torch.compile, ONNX.

python -m benchmarks.backbones                    the smallest of every family
python -m benchmarks.backbones --all              every backbone of the kit
python -m benchmarks.backbones cnn5 --compile     ... and torch.compile, minutes each on a CPU
python -m benchmarks.backbones cnn5 --onnx        ... and an ONNX export (requirements-onnx.txt)

A row says for how many of the six shapes (1 and 3 channels at 28, 64 and 112 pixels) one eager step
under bf16 autocast and channels_last gave a finite loss and every parameter a gradient, and how far
the compiled and the exported network (64 pixels, 3 channels, evaluation, fp32) are from the eager
one, as a share of the largest number of the embedding. Exit code 1 where anything failed.
Shapes: B batch, C H W image, D embedding.
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import parser
from starter import models
from starter.errors import UserError
from starter.models.cost import listed

# Of every family, and of every kind of block inside one.
SMALLEST = (
    *("cnn5", "cnn_64_256_64", "resnet10_small", "resnet18d", "resnext50_32x4d", "seresnet18"),
    *("resnest14d", "iresnet18", "mobilenetv2_035", "mobilefacenet", "efficientnet_b0"),
    *("convnext_atto", "regnetx_002", "regnety_002", "nf_resnet26", "nfnet_l0"),
)
SHAPES = [(channels, size) for channels in (1, 3) for size in (28, 64, 112)]
EMBEDDING = 8
TOLERANCE = 1e-4  # of the largest number: other kernels add in another order


@dataclass
class Row:
    """One backbone. failed: what went wrong, a line each. Differences are shares; seconds are
    wall time; None where not asked for."""

    name: str
    shapes: int = 0
    step_seconds: float = 0.0
    compile_difference: float | None = None
    compile_seconds: float | None = None
    onnx_difference: float | None = None
    onnx_seconds: float | None = None
    failed: list[str] = dataclasses.field(default_factory=list)


def make(name: str, channels: int, size: int) -> nn.Module:
    """An embedder none of whose branches starts as nothing, which would hide what is in it."""
    torch.manual_seed(0)
    embedder = models.build(name, in_channels=channels, image_size=size, embedding=EMBEDDING)
    for module in embedder.modules():
        for scale in ("last_scale", "gamma"):
            if isinstance(parameter := getattr(module, scale, None), nn.Parameter):
                nn.init.constant_(parameter, 0.5)
    return embedder


def images(batch: int, channels: int, size: int) -> Tensor:
    """Random images (B, C, H, W), channels_last."""
    image_BCHW = torch.randn(batch, channels, size, size)
    return image_BCHW.contiguous(memory_format=torch.channels_last)


def faults_of_a_step(embedder: nn.Module, image_BCHW: Tensor) -> Iterator[str]:
    """One update under bf16 autocast; what is wrong with it."""
    optimizer = torch.optim.SGD(embedder.train().parameters(), lr=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        emb_BD = embedder(image_BCHW)
    if emb_BD.dtype != torch.float32 or emb_BD.shape != (len(image_BCHW), EMBEDDING):
        yield f"the embedding is {emb_BD.dtype} of {tuple(emb_BD.shape)}"
    (emb_BD * torch.randn(emb_BD.shape)).sum().backward()
    for path, parameter in embedder.named_parameters():
        if parameter.grad is None or not parameter.grad.abs().sum() > 0:
            yield f"no gradient reaches {path}"
    optimizer.step()
    if not all(p.isfinite().all() for p in embedder.parameters()):
        yield "the update is not finite"


def with_statistics(name: str) -> tuple[nn.Module, Tensor]:
    """An embedder in evaluation whose BatchNorms have seen images, and others to compare on."""
    embedder = make(name, 3, 64)
    with torch.no_grad():
        embedder.train()
        for _ in range(5):
            embedder(images(16, 3, 64))
    return embedder.eval(), images(5, 3, 64)


def compiled(embedder: nn.Module, image_BCHW: Tensor) -> Tensor:
    """The embedding by torch.compile."""
    torch.compiler.reset()
    return torch.compile(embedder)(image_BCHW)


def exported(embedder: nn.Module, image_BCHW: Tensor) -> Tensor:
    """The embedding by onnxruntime, of an export traced on another batch size."""
    import onnxruntime

    shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    options: Any = {"dynamo": True, "verbose": False, "dynamic_shapes": shapes}
    program = torch.onnx.export(embedder, (image_BCHW[:2],), **options)
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "embedder.onnx")
        program.save(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        (emb_BD,) = session.run(None, {name: image_BCHW.contiguous().numpy()})
    return torch.from_numpy(emb_BD)


def timed(
    row: Row, kind: str, work: Callable[[nn.Module, Tensor], Tensor]
) -> tuple[float | None, float]:
    """(difference from the eager embedding, seconds) of `work`; a failure goes into the row."""
    embedder, image_BCHW = with_statistics(row.name)
    start = time.perf_counter()
    difference = None
    try:
        with torch.no_grad():
            eager_BD = embedder(image_BCHW)
            off_BD = work(embedder, image_BCHW) - eager_BD
            difference = (off_BD.abs().max() / eager_BD.abs().max()).item()
        if not difference < TOLERANCE:
            row.failed.append(f"{kind} differs by {difference:.1e}")
    except Exception as error:  # the row says so, the others are still worth running
        row.failed.append(f"{kind}: {type(error).__name__}: {str(error).splitlines()[0]}")
    return difference, time.perf_counter() - start


def examine(name: str, *, compile: bool, onnx: bool) -> Row:
    """One backbone's row."""
    row, start = Row(name), time.perf_counter()
    for channels, size in SHAPES:
        faults = list(faults_of_a_step(make(name, channels, size), images(4, channels, size)))
        row.failed += [f"{channels} x {size} x {size}: {fault}" for fault in faults]
        row.shapes += not faults
    row.step_seconds = time.perf_counter() - start
    if compile:
        row.compile_difference, row.compile_seconds = timed(row, "torch.compile", compiled)
    if onnx:
        row.onnx_difference, row.onnx_seconds = timed(row, "ONNX", exported)
    return row


HEADING = """\
| backbone | steps | seconds | torch.compile | seconds | ONNX | seconds |
|---|---|---|---|---|---|---|"""


def line(row: Row) -> str:
    """The row as Markdown."""
    cells = [row.name, f"{row.shapes} of {len(SHAPES)}", f"{row.step_seconds:.0f}"]
    for difference, seconds in (
        (row.compile_difference, row.compile_seconds),
        (row.onnx_difference, row.onnx_seconds),
    ):
        cells.append("" if difference is None else f"{difference:.0e}")
        cells.append("" if seconds is None else f"{seconds:.0f}")
    return f"| {' | '.join(cells)} |" + "".join(f"\n  failed: {fault}" for fault in row.failed)


def main(arguments: list[str] | None = None) -> int:
    command = parser("backbones", __doc__)
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--all", action="store_true", help="every backbone of the kit")
    command.add_argument("--compile", action="store_true", help="torch.compile too")
    command.add_argument("--onnx", action="store_true", help="an ONNX export too")
    options = command.parse_args(arguments)
    try:
        names = listed(options.names) if options.names or options.all else SMALLEST
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    if not options.json:
        print(HEADING)
    for name in names:
        rows.append(examine(name, compile=options.compile, onnx=options.onnx))
        if not options.json:
            print(line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
