"""Nothing in an update waits for the device: no value is read and no shape depends on one."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from starter.losses import LOSSES
from starter.recipe.schema import StageSection
from starter.training.learner import AveragedWeights
from tests.test_train_stage import batch, make_state, train_step

WAITS = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_consecutive",
    "aten::is_nonzero",
    "aten::equal",
}


class Waits(TorchDispatchMode):
    """Notes each operation that, on a GPU, would stop the host until the device is done."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = function.name().split(".")[0]
        masks = name in ("aten::index", "aten::index_put_", "aten::index_put") and any(
            index is not None and index.dtype == torch.bool for index in arguments[1]
        )
        if name in WAITS or masks:
            self.found.append(name)
        return function(*arguments, **(options or {}))


def test_a_wait_is_noticed():
    with Waits() as waits:
        x = torch.ones(3)
        x[x > 0], x.sum().item(), float(x.mean())
    assert waits.found == ["aten::index", "aten::_local_scalar_dense", "aten::_local_scalar_dense"]


@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_an_update_waits_for_nothing(kind):
    mixed = kind in ("softmax", "normface")
    sampler = {"kind": "pk", "images": 2}
    terms = [{"kind": kind}] + ([{"kind": "softmax"}] if kind == "center" else [])
    state = make_state(
        StageSection.model_validate(
            {
                "loss": terms,
                "batch_size": 8,
                "sampler": sampler,
                "clip_grad": 1.0,
                "agc": 0.01,
                "mix": {"mixup": 0.2, "cutmix": 1.0} if mixed else {},
            }
        )
    )
    state.average = AveragedWeights(state.learner, 0.9)
    train_step(state, *batch(), step=0)
    with Waits() as waits:
        train_step(state, *batch(), step=1)
    # A CPU generator's draw for mixing is on the host already; F.one_hot, given the number of
    # classes, looks at its labels on a CPU only.
    on_host = {"aten::_local_scalar_dense"} if mixed or kind == "proxy_anchor" else set()
    assert [name for name in waits.found if name not in on_host] == []
