"""Networks of segmentation_models_pytorch, saved by it: read as they are, and one line where they do not fit."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import optional
from torch import Tensor, nn

from segablate.checkpoints import Loading, described_sources, open_checkpoint
from segablate.checkpoints.encoder_constants import encoder_constants
from segablate.checkpoints.network import Network
from segablate.checkpoints.sources.card import read_card
from segablate.cli import run
from segablate.errors import CheckpointError, MissingExtra
from segablate.evaluation.scores import whole_scores
from segablate.samples import Batch, Sample

smp = optional("segmentation_models_pytorch")

pytestmark = pytest.mark.usefixtures("offline")

CPU = Loading(device="cpu")
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALVES = ([0.5] * 3, [0.5] * 3)


def build(architecture: str, encoder: str, **arguments: Any) -> Any:
    """A network of the library's with random weights, its batch norm as after training."""
    torch.manual_seed(0)
    module = getattr(smp, architecture)(encoder, encoder_weights=None, **arguments).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr, operator]
            part.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
    return module


def saved(module: nn.Module, path: Path) -> str:
    torch.save(module.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a U-Net with a ResNet-18 for five classes."""
    return saved(build("Unet", "resnet18", classes=5), tmp_path_factory.mktemp("unet") / "w.pth")


def image(height: int = 45, width: int = 61) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def own_output(
    module: nn.Module, pixels: np.ndarray, constants: tuple[list[float], list[float]], multiple: int
) -> Tensor:
    """What the library gives for normalised pixels, padded with zeros on the right and below, and cut again."""
    height, width, _ = pixels.shape
    normalised = (pixels / 255 - constants[0]) / constants[1]
    padded = np.zeros((-(-height // multiple) * multiple, -(-width // multiple) * multiple, 3))
    padded[:height, :width] = normalised
    with torch.inference_mode():
        output = module(torch.from_numpy(padded).float().permute(2, 0, 1)[None])
    return (output[0] if isinstance(output, tuple) else output)[..., :height, :width]


def scores(segmenter: Any, pixels: np.ndarray) -> Tensor:
    return whole_scores(segmenter(Batch((Sample(0, "a", pixels, pixels[..., 0], ""),))))


@pytest.mark.parametrize(
    ("architecture", "encoder", "arguments", "multiple"),
    [
        ("Unet", "resnet18", {"classes": 5}, 1),
        ("Unet", "tu-resnet18", {"classes": 3}, 1),
        ("Unet", "efficientnet-b0", {"classes": 3, "aux_params": {"classes": 2}}, 1),
        ("FPN", "mobilenet_v2", {"classes": 11}, 32),
        ("DeepLabV3Plus", "mobilenet_v2", {"classes": 4}, 16),
        ("DeepLabV3", "mobilenet_v2", {"classes": 2}, 8),
        ("Segformer", "mit_b0", {"classes": 3}, 32),
        ("Linknet", "resnet18", {"classes": 3, "activation": "logsoftmax"}, 32),
    ],
)
@pytest.mark.filterwarnings("ignore:Implicit dimension choice for log_softmax")
def test_logits_are_the_librarys(
    architecture: str, encoder: str, arguments: dict[str, Any], multiple: int, tmp_path: Path
) -> None:
    module = build(architecture, encoder, **arguments)
    written = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    spec = f"smp:{architecture}({encoder!r}, {written})@{saved(module, tmp_path / 'w.pth')}"
    opened = open_checkpoint(spec, CPU)
    found = scores(opened, image())
    assert found.shape == (1, arguments["classes"], 45, 61)
    assert float(found.std()) > 1e-3
    torch.testing.assert_close(found, own_output(module, image(), IMAGENET, multiple), atol=1e-4, rtol=1e-4)
    assert opened.source.facts["network"] == f"{architecture}(encoder_name={encoder!r}, {written})"
    assert opened.source.facts["output"] == "softmax"
    assert opened.source.facts["preprocessing"].endswith(
        "native size" if multiple == 1 else f"padded to a multiple of {multiple}"
    )


def test_classes_are_read_off_the_weights(unet: str, tmp_path: Path) -> None:
    opened = open_checkpoint(f'smp:Unet("resnet18")@{unet}', CPU)
    assert opened.source.facts["network"] == "Unet(encoder_name='resnet18', classes=5)"
    assert opened.source.facts["mean and std"] == "those of resnet18's ImageNet weights"
    default = saved(build("Unet", "resnet34", classes=2), tmp_path / "default.pth")
    opened = open_checkpoint(f"smp:Unet@{default}", CPU)
    assert opened.source.facts["network"] == "Unet(encoder_name='resnet34', classes=2)"


def test_a_side_of_360_is_padded_and_that_is_said(tmp_path: Path) -> None:
    module = build("FPN", "mobilenet_v2", classes=2)
    opened = open_checkpoint(f'smp:FPN("mobilenet_v2")@{saved(module, tmp_path / "w.pth")}', CPU)
    pixels = image(360, 480)
    assert "padded to a multiple of 32" in opened.source.facts["preprocessing"]
    torch.testing.assert_close(scores(opened, pixels), own_output(module, pixels, IMAGENET, 32), atol=1e-4, rtol=1e-4)


def test_windows_must_divide_as_well(tmp_path: Path) -> None:
    spec = f'smp:FPN("mobilenet_v2")@{saved(build("FPN", "mobilenet_v2", classes=2), tmp_path / "w.pth")}'
    assert scores(open_checkpoint(spec, Loading(device="cpu", window=(64, 64))), image(90, 100)).shape[-2:] == (90, 100)
    with pytest.raises(CheckpointError, match="the sides of a --window must divide by 32 too"):
        scores(open_checkpoint(spec, Loading(device="cpu", window=(50, 50))), image(90, 100))


def test_one_class_is_the_second_of_two(tmp_path: Path) -> None:
    module = build("Unet", "resnet18", classes=1)
    path = saved(module, tmp_path / "w.pth")
    found = scores(open_checkpoint(f'smp:Unet("resnet18", classes=1)@{path}', CPU), image())
    share = own_output(module, image(), IMAGENET, 1).sigmoid()
    torch.testing.assert_close(found.softmax(1), torch.cat([1 - share, share], 1), atol=1e-5, rtol=1e-4)
    opened = open_checkpoint(f'smp:Unet("resnet18", activation="sigmoid")@{path}', CPU)
    assert opened.source.facts["output"] == "probabilities"
    torch.testing.assert_close(scores(opened, image()), torch.cat([1 - share, share], 1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("activation", ["softmax", "softmax2d"])
def test_a_network_that_gives_probabilities(activation: str, unet: str) -> None:
    opened = open_checkpoint(f'smp:Unet("resnet18", activation={activation!r})@{unet}', CPU)
    logits = scores(open_checkpoint(f'smp:Unet("resnet18")@{unet}', CPU), image())
    assert opened.source.facts["output"] == "probabilities"
    torch.testing.assert_close(scores(opened, image()), logits.softmax(1), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "pretrained", "mean", "std"),
    [
        ("resnet50", "swsl", *IMAGENET),
        ("efficientnet-b0", None, *IMAGENET),
        ("efficientnet-b0", "advprop", *HALVES),
        ("timm-tf_efficientnet_lite0", "imagenet", *HALVES),
        ("inceptionv4", "imagenet", *HALVES),
        ("xception", "imagenet", *HALVES),
        ("dpn68", None, [124 / 255, 117 / 255, 104 / 255], [0.23482446870963955] * 3),
        ("tu-resnet18", None, *IMAGENET),
        ("tu-vit_tiny_patch16_224", None, *HALVES),
    ],
)
def test_pixels_are_normalised_as_for_the_encoder(
    encoder: str, pretrained: str | None, mean: list[float], std: list[float]
) -> None:
    found, _ = encoder_constants(smp, encoder, pretrained)
    assert found.channels == "rgb"
    assert found.factor == pytest.approx(1 / 255)
    assert found.mean == pytest.approx(mean)
    assert found.std == pytest.approx(std)


def test_constants_agree_with_those_that_timm_keeps() -> None:
    """Of the networks that both libraries have from the same place."""
    twins = {
        "dpn107": "tu-dpn107.mx_in1k",
        "inceptionresnetv2": "tu-inception_resnet_v2.tf_in1k",
        "senet154": "tu-legacy_senet154.in1k",
        "timm-efficientnet-b3": "tu-tf_efficientnet_b3.in1k",
        "timm-tf_efficientnet_lite4": "tu-tf_efficientnet_lite4.in1k",
        "xception": "tu-legacy_xception.tf_in1k",
    }
    for own, of_timm in twins.items():
        ours, theirs = encoder_constants(smp, own, "imagenet")[0], encoder_constants(smp, of_timm, None)[0]
        assert ours.mean == pytest.approx(theirs.mean), own
        assert ours.std == pytest.approx(theirs.std), own


def test_an_encoder_without_constants_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = optional("timm")
    bare = next(name for name in timm.list_models() if not timm.models.is_model_pretrained(name))
    found, word = encoder_constants(smp, f"tu-{bare}", None)
    assert found.mean == pytest.approx(IMAGENET[0])
    assert word == f"ImageNet's, since timm has none for tu-{bare}"


@pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated")
def test_names_of_earlier_versions(tmp_path: Path) -> None:
    module = build("Unet", "timm-mobilenetv3_small_minimal_100", classes=2)
    spec = f'smp:Unet("timm-mobilenetv3_small_minimal_100")@{saved(module, tmp_path / "w.pth")}'
    found = scores(open_checkpoint(spec, CPU), image())
    torch.testing.assert_close(found, own_output(module, image(), IMAGENET, 1), atol=1e-4, rtol=1e-4)


def test_constants_are_overridden(unet: str) -> None:
    loading = Loading(device="cpu", preprocessing={"mean": [0, 0, 0], "std": [1, 1, 1], "pad_to_multiple": 64})
    opened = open_checkpoint(f'smp:Unet("resnet18")@{unet}', loading)
    assert "mean and std" not in opened.source.facts
    assert (
        opened.source.facts["preprocessing"] == "RGB · × 1/255 · − 0 · / 1 · native size · padded to a multiple of 64"
    )


def test_an_encoder_of_one_size_gets_that_size(tmp_path: Path) -> None:
    slim = {"decoder_intermediate_channels": (16, 16, 16, 16), "decoder_fusion_channels": 16}
    module = build("DPT", "tu-vit_tiny_patch16_224", classes=3, **slim)
    written = f'"tu-vit_tiny_patch16_224", {", ".join(f"{name}={value}" for name, value in slim.items())}'
    path = saved(module, tmp_path / "w.pth")
    opened = open_checkpoint(f"smp:DPT({written})@{path}", CPU)
    assert "resized to 224x224" in opened.source.facts["preprocessing"]
    pixels = image(224, 224)
    torch.testing.assert_close(scores(opened, pixels), own_output(module, pixels, HALVES, 1), atol=1e-4, rtol=1e-4)
    assert scores(opened, image()).shape == (1, 3, 45, 61)
    free = open_checkpoint(f"smp:DPT({written}, dynamic_img_size=True)@{path}", CPU)
    assert "native size · padded to a multiple of 32" in free.source.facts["preprocessing"]
    assert scores(free, image()).shape == (1, 3, 45, 61)


# folders of save_pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What ``save_pretrained`` writes for an FPN on a MobileNetV2, three classes."""
    build("FPN", "mobilenet_v2", classes=3).save_pretrained(tmp_path / "fpn")
    return tmp_path / "fpn"


def changed(folder: Path, **entries: Any) -> None:
    said = json.loads((folder / "config.json").read_text())
    said = {name: value for name, value in {**said, **entries}.items() if value != "gone"}
    (folder / "config.json").write_text(json.dumps(said))


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
def test_a_saved_folder(form: str, folder: Path) -> None:
    module = build("FPN", "mobilenet_v2", classes=3)
    if form == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
        saved(module, folder / form)
    opened = open_checkpoint(f"smp:{folder}", CPU)
    assert opened.source.files == (folder / form, folder / "config.json")
    assert opened.source.facts["network"] == "FPN(encoder_name='mobilenet_v2', classes=3)"
    torch.testing.assert_close(scores(opened, image()), own_output(module, image(), IMAGENET, 32), atol=1e-4, rtol=1e-4)


def test_a_saved_folder_says_by_which_weights_pixels_are_normalised(tmp_path: Path) -> None:
    build("Unet", "efficientnet-b0", classes=2).save_pretrained(tmp_path / "unet")
    changed(tmp_path / "unet", encoder_weights="advprop", decoder_use_norm="gone")
    opened = open_checkpoint(f"smp:{tmp_path / 'unet'}", CPU)
    assert opened.source.facts["mean and std"] == "those of efficientnet-b0's AdvProp weights"
    assert "− 0.5 · / 0.5" in opened.source.facts["preprocessing"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"_model_class": "FPM"}, r"has no architecture 'FPM'; did you mean 'FPN'"),
        ({"_model_class": "gone"}, r"config\.json has no _model_class, a network of segmentation_models_pytorch"),
        ({"clases": 3}, "FPN has no argument 'clases'; did you mean 'classes'"),
        ({"classes": 4}, "the file has 3 classes and the network 4: build it for 3"),
    ],
)
def test_configurations_that_do_not_fit(entries: dict[str, Any], message: str, folder: Path) -> None:
    changed(folder, **entries)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(f"smp:{folder}", CPU)


def test_folders_that_are_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere: no such folder; .* \(--allow-download looks on the hub"):
        open_checkpoint("smp:nowhere", CPU)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"fpn: config\.json: is not valid JSON .*; copy or write it again"):
        open_checkpoint(f"smp:{folder}", CPU)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"fpn: config\.json or model\.safetensors is missing"):
        open_checkpoint(f"smp:{folder}", CPU)


def test_the_hub_is_asked_only_where_that_is_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name != "someone/fpn":
            raise OSError("no such\nrepository")
        return str(folder)

    monkeypatch.setattr(optional("huggingface_hub"), "snapshot_download", fetch)
    with pytest.raises(CheckpointError, match="no such folder"):
        open_checkpoint("smp:someone/fpn", CPU)
    assert asked == []
    allowed = Loading(device="cpu", allow_download=True)
    assert scores(open_checkpoint("smp:someone/fpn", allowed), image()).shape[1] == 3
    assert asked == [("someone/fpn", ["config.json", "model.safetensors", "pytorch_model.bin"])]
    with pytest.raises(CheckpointError, match="smp:someone/else cannot be downloaded: no such repository"):
        open_checkpoint("smp:someone/else", allowed)


# what does not fit


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smp:", r"'smp:' is incomplete; write smp:Unet\(\.\.\.\)@FILE, smp:DIR"),
        ("smp:Unet", r"smp:Unet has no weights; add @FILE, as in smp:Unet@weights\.pth"),
        ("smp:U-net()@W", r"is malformed; write smp:Unet\(encoder_name=\"resnet34\", classes=11\)@FILE"),
        ("smp:Unett('resnet18')@W", "has no architecture 'Unett'; did you mean 'Unet'"),
        ("smp:Unet(encoder_nam='resnet18')@W", "Unet has no argument 'encoder_nam'; did you mean 'encoder_name'"),
        ("smp:Unet('resnet19')@W", "no encoder is called 'resnet19'; did you mean 'resnet1"),
        ("smp:Unet('tu-resnt18')@W", "no encoder is called 'tu-resnt18'; did you mean 'tu-resnet18'"),
        ("smp:Unet('tu-hf-hub:someone/net')@W", "no encoder is called 'tu-hf-hub:someone/net'"),
        ("smp:Unet('tu-resnet18', clases=5)@W", r"cannot be built: .*unexpected keyword argument 'clases'"),
        (
            "smp:Unet('resnet18', encoder_weights='imagnet')@W",
            "encoder_weights is 'imagnet', but must be one of imagenet",
        ),
        ("smp:Unet('timm-efficientnet-b0', clases=5)@W", "Unet has no argument 'clases'; did you mean 'classes'"),
        (
            "smp:Unet('resnet18', encoder_name='resnet34')@W",
            "cannot be built: multiple values for argument 'encoder_name'",
        ),
        ("smp:Unet('resnet18', *(1,))@W", "must be literals"),
        ("smp:Unet(1,2,3,4,5,6,7,8,9,10,11,12,13)@W", "cannot be built: too many positional arguments"),
        ("smp:Unet('resnet18', in_channels=5)@W", "in_channels is 5, but images have 1 to 4 bands"),
        (
            "smp:Unet('resnet18', activation='tanh')@W",
            "activation is 'tanh', which returns neither logits nor probabil",
        ),
        ("smp:Unet('resnet18', encoder_depth=9)@W", r"cannot be built: .*depth should be in range"),
        (
            "smp:Unet('resnet18', classes=len('ab'))@W",
            r"arguments must be literals, as in Unet\(\"resnet34\", classes=11\)",
        ),
        ("smp:Unet('resnet18', classes=4)@W", "the file has 5 classes and the network 4: build it for 5"),
        ("smp:Unet('resnet34')@W", "build the network as it was when the file was saved"),
        ("smp:Unet('resnet18')@nowhere.pth", r"nowhere\.pth: no such file; check the path"),
    ],
)
def test_specifications_that_do_not_fit(spec: str, message: str, unet: str) -> None:
    with pytest.raises(CheckpointError, match=message) as raised:
        open_checkpoint(spec.replace("@W", f"@{unet}"), CPU)
    assert "\n" not in str(raised.value)


def test_one_wrong_key_and_one_wrong_shape(unet: str, tmp_path: Path) -> None:
    state, path = torch.load(unet), tmp_path / "w.pth"
    name = "decoder.blocks.0.conv1.0.weight"
    torch.save({("extra" if key == name else key): value for key, value in state.items()}, path)
    with pytest.raises(
        CheckpointError, match=r"1 key missing from the file \(decoder\.blocks\.0\.conv1.*, 1 .*\(extra\)"
    ):
        open_checkpoint(f"smp:Unet('resnet18')@{path}", CPU)
    torch.save({**state, name: torch.zeros(256, 3, 3, 3)}, path)
    with pytest.raises(
        CheckpointError, match=r"conv1\.0\.weight is 256x3x3x3 in the file and 256x768x3x3 in the network"
    ):
        open_checkpoint(f"smp:Unet('resnet18')@{path}", CPU)


def test_a_head_for_other_classes_than_the_datasets(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three = saved(build("FPN", "mobilenet_v2", classes=3), toy / "w.pth")
    assert run(["evaluate", f'smp:FPN("mobilenet_v2")@{three}', f"folder:{toy}", "--device", "cpu"]) == 1
    assert "has 3 outputs but 'toy' has 4 classes; choose the dataset it was trained on" in capsys.readouterr().err


def test_the_library_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(
        MissingExtra, match=r"needs segmentation_models_pytorch, which is not installed; .*segablate\[smp"
    ):
        open_checkpoint("smp:Unet@w.pth", CPU)


def test_it_is_listed_and_has_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert described_sources()["smp"].form == "smp:Unet(...)@FILE, smp:DIR"
    saved(build("FPN", "mobilenet_v2", classes=2, activation="sigmoid"), tmp_path / "fpn.pth")
    monkeypatch.chdir(tmp_path)
    spec = 'smp:FPN("mobilenet_v2", encoder_weights=None, activation="sigmoid", aux_params=None)@fpn.pth'
    assert run(["checkpoints", "init", spec, "--out", "cards/a.yaml"]) == 0
    card = read_card(Path("cards/a.yaml"))
    assert (card["source"], card["weights"]) == (spec.removesuffix("@fpn.pth"), "../fpn.pth")
    assert (card["output"], card["preprocessing"]["pad_to_multiple"]) == ("probabilities", 32)
    from_card, plain = (open_checkpoint(named, CPU) for named in ("cards/a.yaml", spec))
    assert isinstance(from_card, Network)
    assert torch.equal(scores(from_card, image()), scores(plain, image()))


def test_a_network_built_for_grey_gets_it_scaled_alone(tmp_path: Path) -> None:
    """The three constants of its encoder are not for one channel."""
    torch.save(smp.Unet("resnet18", encoder_weights=None, in_channels=1, classes=3).state_dict(), tmp_path / "w.pth")
    spec = f"smp:Unet('resnet18', in_channels=1, classes=3)@{tmp_path / 'w.pth'}"
    opened = open_checkpoint(spec, Loading(device="cpu"))
    assert isinstance(opened, Network)
    assert opened.source.facts["preprocessing"].startswith("grey · × 1/255 · − 0 · / 1")
    assert "mean and std" not in opened.source.facts
    assert any("no mean and std given for grey" in note for note in opened.source.notes)
