"""Averaged weights against a plain loop."""

import torch

from starter.training.learner import AveragedWeights
from tests.training.test_optimizers import Toy


def test_averaged_weights_equal_a_plain_loop():
    torch.manual_seed(0)
    toy = Toy()
    average = AveragedWeights(toy, decay=0.9)
    wanted = {name: value.double().clone() for name, value in toy.state_dict().items()}
    for step in range(30):
        with torch.no_grad():
            for parameter in toy.parameters():
                parameter.add_(torch.randn_like(parameter))
        toy.embedder.backbone[1].num_batches_tracked += 1
        average.update(toy, step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in toy.state_dict().items():
            if value.is_floating_point():
                wanted[name] = decay * wanted[name] + (1 - decay) * value.double()
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), wanted[name], rtol=1e-5, atol=1e-6)
    assert average.module.embedder.backbone[1].num_batches_tracked == 30
