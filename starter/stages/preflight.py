"""What would stop a later stage after hours, found in seconds."""

import logging

from starter import distributed
from starter.data.augment import build_augment
from starter.data.samplers import epoch_order
from starter.metrics import try_out
from starter.models import check_rules
from starter.recipe.named import raise_all
from starter.recipe.schema.train import refuse_uneven
from starter.stages.run import Run
from starter.training.initialise import load_embedder

log = logging.getLogger(__name__)


def preflight(run: Run, names: list[str]) -> None:
    """Tries out each stage's batches, augmentation, network, rules and metric. UserError where a
    stage cannot be trained."""
    recipe, catalog = run.recipe, run.catalog
    for name in names:
        section = recipe.stages[name]
        refuse_uneven(name, section, distributed.world_size())
        steps = recipe.augment if section.augment is None else section.augment
        build_augment(steps, section.image_size or recipe.data.image_size, recipe.data.channels)
        size, train_M = section.batch_size, catalog.index("train")
        epoch_order(section.sampler, catalog.label_N, train_M, batch_size=size, seed=0, epoch=0)
        raise_all(try_out(section, catalog.answers or len(catalog.classes)))
        learner = run.learner(name)
        terms = list(learner.objective.terms.values())
        log.info("%s: %s", name, check_rules(learner.embedder, terms, recipe.rules))
        if section.init is not None and section.init not in recipe.stages:
            parent = run.parent(name)
            assert parent is not None
            load_embedder(learner.embedder, parent)
