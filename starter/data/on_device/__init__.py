"""Augmentation in batches, where the network runs: the albumentations entries it can take over.

`choose` decides, `DeviceAugment` draws (numpy, on the host) and applies (torch, on any device),
`DeviceSource` brings the images there. `data.by_opencv` applies the same draws on the CPU.
"""

from starter.data.on_device.augment import DeviceAugment
from starter.data.on_device.plan import choose
from starter.data.on_device.source import DeviceSource

__all__ = ["DeviceAugment", "DeviceSource", "choose"]
