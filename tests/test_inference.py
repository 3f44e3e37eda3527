"""Windows and flips against plain references that visit pixel by pixel, and the memory they take."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES
from torch import Tensor, nn
from torch.nn import functional

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Source
from segablate.datasets import open_dataset
from segablate.errors import CheckpointError
from segablate.evaluation.alignment import align
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.evaluation.score_reading import read_scores
from segablate.evaluation.scores import whole_scores
from segablate.labels import LabelSet
from segablate.losses import get_loss
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch, Output, Sample


class Positional(nn.Module):
    """Scores that depend on where in its input a pixel lies, so that misplaced windows show; optionally coarse."""

    def __init__(self, classes: int = 3, reduction: int = 1) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.mix = nn.Conv2d(3, classes, 3, padding=1)
        self.reduction = reduction

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        ramp = torch.arange(height)[:, None] * 0.1 + torch.arange(width) * 0.03
        scores = self.mix(pixels) + ramp * torch.tensor([1.0, -0.5, 0.2])[: len(self.mix.bias), None, None]
        return functional.avg_pool2d(scores, self.reduction) if self.reduction > 1 else scores


def starts(length: int, window: int, stride: int) -> list[int]:
    """Left ends of the windows: stride by stride, and one at the border."""
    found, at = [], 0
    while at + window < length:
        found.append(at)
        at += stride
    return [*found, length - window]


def reference(forward: Callable[[Tensor], Tensor], image: Tensor, window: int, stride: int) -> Tensor:
    """The mean over windows, counted pixel by pixel."""
    height, width = image.shape[-2:]
    rows, columns = min(window, height), min(window, width)
    total, count = np.zeros(0), np.zeros((height, width))
    for top in starts(height, rows, stride):
        for left in starts(width, columns, stride):
            crop = image[..., top : top + rows, left : left + columns]
            scores = functional.interpolate(forward(crop), crop.shape[-2:], mode="bilinear", align_corners=False)
            if not total.size:
                total = np.zeros((*scores.shape[:2], height, width))
            for y in range(rows):
                for x in range(columns):
                    total[..., top + y, left + x] += scores[..., y, x].numpy()
                    count[top + y, left + x] += 1
    assert (count > 0).all()
    return torch.from_numpy(total / count).float()


@pytest.mark.parametrize("reduction", [1, 2])
@pytest.mark.parametrize(("height", "width", "window", "stride"), [(23, 31, 8, 5), (16, 16, 8, 8), (9, 30, 12, 7)])
@torch.inference_mode()
def test_windows_equal_the_reference(height: int, width: int, window: int, stride: int, reduction: int) -> None:
    network, image = Positional(reduction=reduction), torch.rand(2, 3, height, width)
    found = Inference((window, window), (stride, stride))(network, image, (height, width))
    assert torch.allclose(found, reference(network, image, window, stride), atol=1e-5)


@torch.inference_mode()
def test_flips_average_with_the_mirror_image() -> None:
    network, image = Positional(), torch.rand(1, 3, 10, 13)
    expected = (network(image) + network(image.flip(-1)).flip(-1)) / 2
    assert torch.allclose(Inference(flip=True)(network, image, (10, 13)), expected, atol=1e-6)
    assert not torch.allclose(network(image), expected, atol=1e-2)


@torch.inference_mode()
def test_windows_of_the_mirror_image_are_laid_anew() -> None:
    network, image = Positional(), torch.rand(1, 3, 14, 19)
    expected = (reference(network, image, 8, 5) + reference(network, image.flip(-1), 8, 5).flip(-1)) / 2
    found = Inference((8, 8), (5, 5), flip=True)(network, image, (14, 19))
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("inference", [Inference(flip=True), Inference((8, 8), (6, 6), flip=True), Inference((8, 8))])
@torch.inference_mode()
def test_padding_stays_on_the_right_and_is_cut_off(inference: Inference) -> None:
    network, image = Positional(), torch.rand(1, 3, 13, 10)
    window, stride = (8, inference.step[0]) if inference.step else (16, 16)

    def padded(pixels: Tensor) -> Tensor:
        """As Preprocessing pads: zeros to the right and below."""
        scores = reference(network, functional.pad(pixels, (0, 6, 0, 3)), window, stride)
        return scores[..., :13, :10]

    expected = (padded(image) + padded(image.flip(-1)).flip(-1)) / 2 if inference.flip else padded(image)
    found = inference(network, functional.pad(image, (0, 6, 0, 3)), (13, 10))
    assert torch.allclose(found, expected, atol=1e-5)


@torch.inference_mode()
def test_coarse_scores_of_padded_images_are_cut_where_the_padding_lies() -> None:
    network, image = Positional(reduction=4), torch.rand(1, 3, 16, 16)
    expected = functional.interpolate(network(image), (16, 16), mode="bilinear", align_corners=False)[..., :13, :10]
    assert torch.equal(Inference()(network, image, (13, 10)), expected)


@torch.inference_mode()
def test_a_window_over_the_whole_image_changes_nothing() -> None:
    network, image = Positional(), torch.rand(1, 3, 12, 9)
    assert torch.equal(Inference((64, 64))(network, image, (12, 9)), network(image))


def output(network: nn.Module, image: np.ndarray, kind: Any = "softmax", **more: Any) -> Tensor:
    sample = Sample(0, "a", image, image[..., 0], "")
    scores = Network(network, Preprocessing(), Source("n"), kind, **more)(Batch((sample,))).scores
    assert scores is not None
    return scores


def test_one_channel_is_averaged_as_a_logit() -> None:
    network, image = Positional(1), np.random.default_rng(0).integers(0, 256, (11, 12, 3), np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        z = (network(pixels) + network(pixels.flip(-1)).flip(-1)) / 2
        found = output(network, image, "sigmoid", inference=Inference(flip=True))
    assert torch.allclose(found, torch.cat([functional.logsigmoid(-z), functional.logsigmoid(z)], 1), atol=1e-5)


@torch.inference_mode()
def test_no_more_memory_than_a_row_of_windows() -> None:
    """The allocator's own record, on an image of 2048x1024 with 19 classes and windows of 512."""
    classes, window, size = 19, 512, (1024, 2048)
    image = torch.rand(1, 3, *size)

    def repeated(pixels: Tensor) -> Tensor:
        """Scores that need nothing but themselves."""
        return torch.cat([pixels] * (classes // 3) + [pixels[:, : classes % 3]], dim=1)

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        assert sum(band.shape[2] for band in Inference((window, window)).bands(repeated, image, size)) == size[0]
    events = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [event.nbytes() for event in sorted(events, key=lambda e: e.start_ns()) if event.name() == "[memory]"]
    peak = int(np.cumsum(changes).max())
    row, one_window, share = (
        4 * channels * area for channels, area in ((classes, window * size[1]), (classes, window**2), (1, window**2))
    )
    assert row + one_window <= peak <= row + one_window + 2 * share


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(40, 23), (16, 9), (33, 64)])
def test_bands_are_the_rows_of_the_whole(size: tuple[int, int], flip: bool) -> None:
    inference, pixels = Inference((16, 12), (6, 12), flip), torch.rand(2, 3, size[0] + 3, size[1])  # 3 rows of padding
    bands = [band.clone() for band in inference.bands(Positional(), pixels, size)]
    assert len(bands) > 1 or size[0] == 16
    assert torch.equal(torch.cat(bands, dim=2), inference(Positional(), pixels, size))


def windowed(spec: str, **options: Any) -> Network:
    opened = open_checkpoint(spec, Loading(device="cpu", window=(16, 16), stride=(8, 12), **options))
    assert isinstance(opened, Network)
    return opened


class Whole:
    """A segmenter whose scores are not computed band by band."""

    def __init__(self, segmenter: Network) -> None:
        self.segmenter = segmenter

    def __getattr__(self, name: str) -> Any:
        return getattr(self.segmenter, name)

    def for_dataset(self, dataset: Any, on_error: Any) -> "Whole":
        return self

    def __call__(self, batch: Batch) -> Output:
        output = self.segmenter(batch)
        assert output.bands is not None
        return replace(output, scores=whole_scores(output), bands=None)


@pytest.mark.parametrize("losses", [("ce", "bce", "focal"), ("ce", "rmi")])
def test_evaluation_by_bands_equals_that_of_whole_scores(
    toy: Path, network_spec: str, losses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segablate.evaluation.scores._CELLS", 200)
    data = open_dataset(f"folder:{toy}")
    measures = Measures({name: get_loss(name) for name in losses}, (Tolerance(2),), calibration=True)
    by_bands = evaluate(windowed(network_spec), data, measures)
    monkeypatch.setattr("segablate.evaluation.scores._CELLS", 1 << 20)
    whole = evaluate(Whole(windowed(network_spec)), data, measures)  # type: ignore[arg-type]
    for field in ("image", "label", "predicted", "pixels"):
        assert np.array_equal(getattr(by_bands.confusion, field), getattr(whole.confusion, field))
    for name in losses:
        assert np.allclose(by_bands.values[name], whole.values[name], rtol=1e-6)
    for name, counts in whole.statistics.items():
        assert np.allclose(by_bands.statistics[name], counts, atol=1e-4), name
    assert by_bands.facts["timing"]["milliseconds per image"] > 0


class Broken(nn.Module):
    """One infinite, or undefined, score in the last row that a window sees of a white image."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, pixels: Tensor) -> Tensor:
        scores = torch.cat([pixels, -pixels], dim=1)[:, : len(CLASSES)].clone()
        scores[:, 1, -1, 0] = torch.where(pixels[:, 0, -1, 0] == 1, self.value, 0.5)
        return scores


def broken(value: float, size: tuple[int, int], **options: Any) -> tuple[Output, Batch]:
    image = np.full((*size, 3), 255, np.uint8)
    network = Network(Broken(value), Preprocessing(), Source("n"), **options)
    batch = Batch((Sample(0, "a", image, image[..., 0] % len(CLASSES), ""),))
    return network(batch), batch


def test_infinite_scores_in_a_later_band() -> None:
    """The image is read again, with what stands for an infinite score taken from all of it."""
    labels = LabelSet("toy", CLASSES, tuple((code,) for code in range(len(CLASSES))))
    measures, alignment = Measures({"ce": get_loss("ce")}), align(len(CLASSES), None, labels)
    output, batch = broken(float("inf"), (40, 24), inference=Inference((16, 24), (16, 24)))
    (found,) = read_scores(batch, output, alignment, measures)
    assert found.infinite == 3  # one in each row of windows
    whole = replace(output, scores=whole_scores(output), bands=None)
    (expected,) = read_scores(batch, whole, alignment, measures)
    assert found.losses()["ce"] == pytest.approx(expected.losses()["ce"], rel=1e-6)
    assert torch.equal(found.predicted, expected.predicted)
    output, batch = broken(float("nan"), (40, 24), inference=Inference((16, 24), (16, 24)))
    with pytest.raises(CheckpointError, match="the output of the network is NaN for a"):
        read_scores(batch, output, alignment, measures)


def test_a_network_in_windows_from_options_card_and_command_line(toy: Path, network_spec: str, tmp_path: Path) -> None:
    source, _, weights = network_spec.partition("@")
    card = tmp_path / "card.yaml"
    card.write_text(f"source: {source}\nweights: {weights}\ninference: {{window: 16, stride: [8, 12], flip: true}}\n")
    opened = open_checkpoint(str(card), Loading(device="cpu", trust_code=True))
    assert isinstance(opened, Network)
    assert opened.inference == Inference((16, 16), (8, 12), flip=True)
    assert opened.source.facts["inference"] == (
        "windows 16x16 (or the image, where it is smaller), stride 8x12, each image also mirrored; averaged as logits"
    )
    overridden = open_checkpoint(str(card), Loading(device="cpu", trust_code=True, window=(20, 24), flip=False))
    assert isinstance(overridden, Network)
    assert overridden.inference == Inference((20, 24), None)
    assert overridden.inference.step == (13, 16)
    assert "stride 13x16; averaged" in overridden.source.facts["inference"]
    plain = open_checkpoint(network_spec, Loading(device="cpu"))
    assert plain.source.facts["inference"] == "whole images"
    image = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    sample = Batch((Sample(0, "a", image, image[..., 0], ""),))
    scores = [whole_scores(segmenter(sample)) for segmenter in (opened, plain)]
    assert scores[0].shape == (1, len(CLASSES), 24, 32)
    assert not torch.equal(*scores)


def test_probabilities_are_said_to_be_averaged_as_such() -> None:
    assert Inference(flip=True).describe("probabilities").endswith("averaged as probabilities")


def test_features_are_refused_in_windows() -> None:
    with pytest.raises(CheckpointError, match=r"features need one pass .*; leave out --window and --flip"):
        Network(Positional(), Preprocessing(), Source("n"), inference=Inference(flip=True), keep_features=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stride": 4}, "stride is 4x4, but no window is set"),
        ({"window": 4, "stride": 5}, "stride is 5x5, larger than the window 4x4, which leaves pixels out"),
        ({"window": [4, 9], "stride": [4, 10]}, "stride is 4x10, larger than the window 4x9"),
        ({"window": "big"}, "window is 'big', but must be a side in pixels, or height and width"),
        ({"window": 0}, "window is 0, but"),
        ({"window": True}, "window is True, but"),
        ({"window": [1, 2, 3]}, r"window is \[1, 2, 3\], but"),
        ({"flip": "yes"}, "flip is 'yes', but must be true or false"),
        ({"windows": 3}, "inference has no entry 'windows'; did you mean 'window'"),
    ],
)
def test_malformed_inference(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        Inference.parse(values)
