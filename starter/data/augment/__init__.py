"""Augmentation in batches, where the network runs: the albumentations entries it can take over.

`choose` decides, `DeviceAugment` draws (numpy, on the host) and applies (torch, on any device),
`DeviceSource` brings the images there. `data.by_opencv` applies the same draws on the CPU.
"""

from starter.data.augment.on_device import DeviceAugment
from starter.data.augment.plan import choose
from starter.data.augment.source import DeviceSource

__all__ = ["DeviceAugment", "DeviceSource", "choose"]
