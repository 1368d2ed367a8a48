"""First weights from a file: what matched is said, and nothing is loaded silently wrong."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from starter import models
from starter.errors import UserError
from tests.models.networks import timms


def make(path=None, channels=3, name="resnet18", **options):
    return models.build(
        name, in_channels=channels, image_size=64, embedding=8, init_from=path, **options
    )


@pytest.fixture(scope="module")
def theirs():
    return timms("resnet18")


@pytest.mark.parametrize("form", ["safetensors", "pth", "wrapped", "ours"])
def test_forms_of_file(form, theirs, tmp_path, caplog):
    caplog.set_level("INFO")
    state = theirs.state_dict()
    path = str(tmp_path / ("w.safetensors" if form in ("safetensors", "ours") else "w.pth"))
    if form == "wrapped":
        wrapped = {f"module.{k}": v for k, v in state.items()}
        torch.save({"epoch": 3, "state_dict": wrapped | {"module.fc.bias": torch.ones(3)}}, path)
    elif form == "ours":
        inside = {f"embedder.backbone.{k}": v for k, v in state.items()}
        save_file(inside | {"objective.terms.softmax.weight": torch.ones(3, 8)}, path)
    else:
        (save_file if form == "safetensors" else torch.save)(state, path)
    embedder = make(path)
    for key, value in embedder.backbone.state_dict().items():
        torch.testing.assert_close(value, state[key])
    assert f"{len(state)} of the backbone's {len(state)} tensors loaded" in caplog.text
    assert ("not used: fc.bias" in caplog.text) == (form == "wrapped")
    with pytest.raises(UserError, match="init_from"):
        models.check_rules(embedder, [], models_rules(from_scratch=True))


def models_rules(**keys):
    from starter.recipe.schema import RulesSection

    return RulesSection(**keys)


def test_grey_images_and_another_stem(theirs, tmp_path, caplog):
    caplog.set_level("INFO")
    path = str(tmp_path / "w.pth")
    torch.save(theirs.state_dict(), path)
    grey = make(path, channels=1).backbone
    torch.testing.assert_close(grey.conv1.weight, theirs.conv1.weight.sum(1, keepdim=True))
    make(path, stem="3x3/1")
    assert "not in the file: conv1.weight; not used: conv1.weight" in caplog.text


def test_timms_small_convnext_in_its_own_shapes(tmp_path):
    """Its 1x1 convolutions are linear layers here."""
    theirs, path = timms("convnext_atto").eval(), str(tmp_path / "w.safetensors")
    save_file(theirs.state_dict(), path)
    ours = make(path, name="convnext_atto").backbone.eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-5, rtol=1e-5)


def test_other_networks_weights_and_broken_files_are_refused(theirs, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(timm.create_model("convnext_atto", num_classes=0).state_dict(), path)
    with pytest.raises(UserError, match="another network's weights"):
        make(str(path))
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        make(str(path))
    with pytest.raises(UserError, match="no such file"):
        make(str(tmp_path / "none.pth"))
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="not a state dict"):
        make(str(path))
