"""A competition's rules, checked before the first batch."""

import re
from collections.abc import Iterable, Sequence

from torch import nn

from starter.errors import UserError
from starter.models.embedder import Embedder
from starter.recipe.schema import RulesSection

# Attention is not one class: timm alone has some sixty, under these names.
_ATTENTION = re.compile(
    r"Attn|Attention|Transformer|LambdaLayer|(MHSA|SHSA|SHMA|GPSA|XCA|MLA|SSD)$"
)
# Gates on a convolution's channels or positions, called attention by their authors: like
# squeeze-and-excitation (SEModule, EcaModule, ...), no position looks at another one's content.
_GATE = re.compile(
    r"(Light)?(Channel|Spatial)Attn|(Circular)?EfficientChannelAttn|(Simple)?CoordAttn"
    r"|EfficientLocalAttn|StripAttn|SelectiveKernelAttn|SplitAttn"
)
_OWN_GATE = re.compile(r"Gate|SEModule|EffectiveSEModule|EcaModule|SplitAttn")
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def count_parameters(modules: Iterable[nn.Module]) -> int:
    """Parameters of all the modules, frozen ones too, each shared one once. Buffers not."""
    unique = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(unique.values())


def check_rules(embedder: Embedder, heads: Sequence[nn.Module], rules: RulesSection) -> str:
    """The parameter counts as one line to print; UserError when a rule is broken.

    heads: the losses whose parameters the run trains beside the embedder.
    """
    inside = count_parameters([embedder])
    total = count_parameters([embedder, *heads])
    counts = f"embedder {inside:,} + heads {total - inside:,} = {total:,} parameters"
    if rules.max_parameters is not None:
        counts += f" of limit {rules.max_parameters:,}"
        if total > rules.max_parameters:
            raise UserError(
                f"rules.max_parameters: {counts}, {total - rules.max_parameters:,} too many; "
                "take a smaller model.backbone or model.embedding"
            )
    if rules.from_scratch and embedder.pretrained:
        raise UserError(
            "rules.from_scratch: the weights come from outside (model.pretrained or "
            "model.init_from); leave them out, or set the rule to false"
        )
    if rules.cnn_only:
        layers = not_convolutional(embedder)
        if layers:
            raise UserError(
                f"rules.cnn_only: the embedder has attention or recurrence: {', '.join(layers)}"
            )
    return counts


def not_convolutional(model: nn.Module) -> list[str]:
    """Up to three "module path (class)" of attention, recurrence or state spaces in a model."""
    layers = [
        f"{path or 'the model itself'} ({type(module).__name__})"
        for path, module in model.named_modules()
        if isinstance(module, _RECURRENT) or _is_attention(type(module).__name__)
    ]
    return layers[:3]


def gates(model: nn.Module) -> list[str]:
    """Class names of gates on channels, which some graders count as attention."""
    names = {type(module).__name__ for module in model.modules()}
    return sorted(name for name in names if _OWN_GATE.fullmatch(name) or _GATE.fullmatch(name))


def _is_attention(class_name: str) -> bool:
    return bool(_ATTENTION.search(class_name)) and not _GATE.fullmatch(class_name)
