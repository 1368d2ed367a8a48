"""Networks for tests: timm's with random weights and statistics, without the time of its own."""

import timm
import torch
from torch import nn


def images(batch=2, channels=3, size=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, size, size, generator=generator)


def on_meta(make):
    """What `make` builds, without memory or initialisation."""
    try:
        with torch.device("meta"):
            return make()
    except (NotImplementedError, RuntimeError):  # timm's, of the oldest versions, may compute there
        return make().to("meta")


@torch.no_grad()
def randomised(make) -> nn.Module:
    """What `make` builds, every weight and statistic random: a swapped pair would show."""
    network = on_meta(make).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            tensor.zero_()
        elif tensor.ndim >= 2:
            fan_in = tensor[0].numel()
            tensor.normal_(0, (1 / fan_in) ** 0.5 if fan_in > 1 else 0.5, generator=generator)
        elif name.endswith("running_mean"):
            tensor.uniform_(-0.5, 0.5, generator=generator)
        elif name.endswith(("bias", "fc1.bias")):
            tensor.uniform_(-0.2, 0.2, generator=generator)
        else:  # scales, variances, slopes
            tensor.uniform_(0.3, 1.0, generator=generator)
    return network


def wake(network):
    """Sets every block's last scale to 1: one that starts as the identity shows nothing inside."""
    for module in network.modules():
        if getattr(module, "last_scale", None) is not None:
            nn.init.ones_(module.last_scale)


def timms(name, channels=3) -> nn.Module:
    return randomised(lambda: timm.create_model(name, num_classes=0, in_chans=channels))
