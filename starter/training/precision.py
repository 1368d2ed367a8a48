"""Which number format the backbone runs in: chosen once per stage, saved, reused on resume."""

import contextlib
import logging
import time
from dataclasses import dataclass

import torch
from torch import nn

log = logging.getLogger(__name__)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# A CPU without matrix units for bf16 emulates it, slowly: it must win clearly to be chosen.
CPU_GAIN = 1.1


@dataclass(frozen=True)
class Precision:
    """The format of the backbone's activations; heads and the neck stay in float32."""

    name: str
    device_type: str

    def autocast(self) -> contextlib.AbstractContextManager:
        """Context for the backbone's forward pass."""
        if self.name == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, dtype=DTYPES[self.name])

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling: needed by fp16 alone, and a no-op otherwise, so that the step is one."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")


def inference_precision(trained_in: str, device_type: str) -> Precision:
    """The training precision on a GPU; float32 on a CPU, whose bf16 differs between machines."""
    return Precision(trained_in if device_type == "cuda" else "fp32", device_type)


def pick_device() -> torch.device:
    """The first GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose(wanted: str, device: torch.device, embedder: nn.Module, image_BCHW: torch.Tensor) -> str:
    """Resolves `auto`: bf16 on GPUs that have it, fp16 on older ones, the faster on a CPU.

    The compute capability is asked, as `is_bf16_supported` counts emulation as support.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    fp32 = _seconds(embedder, image_BCHW, Precision("fp32", device.type))
    bf16 = _seconds(embedder, image_BCHW, Precision("bf16", device.type))
    chosen = "bf16" if bf16 * CPU_GAIN < fp32 else "fp32"
    log.info("precision %s: a step takes %.3f s in fp32, %.3f s in bf16", chosen, fp32, bf16)
    return chosen


def _seconds(embedder: nn.Module, image_BCHW: torch.Tensor, precision: Precision) -> float:
    """The best of two forward and backward passes after one to warm up; changes no weight."""
    kept = {name: value.clone() for name, value in embedder.named_buffers()}
    times = []
    for _ in range(3):
        start = time.perf_counter()
        with precision.autocast():
            emb_BD = embedder(image_BCHW)
        emb_BD.square().mean().backward()
        times.append(time.perf_counter() - start)
    embedder.zero_grad(set_to_none=True)
    for name, value in embedder.named_buffers():
        value.copy_(kept[name])
    return min(times[1:])
