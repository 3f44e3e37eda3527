"""Image processors are understood as the library that wrote them runs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segablate.checkpoints.image_processor import read_image_processor
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.errors import SegablateError
from tests.hf_networks import processor


@pytest.mark.parametrize("longest", [None, 40, 70])
@pytest.mark.parametrize("shorter", [16, 33])
def test_sides_in_proportion_are_those_of_the_library(shorter: int, longest: int | None) -> None:
    size = {"shortest_edge": shorter, "longest_edge": longest} if longest else {"shortest_edge": shorter}
    of_images = processor("MobileViTImageProcessor")(size=size, do_center_crop=False)
    preprocessing = Preprocessing(resize=shorter, longest=longest)
    for height, width in ((16, 16), (17, 29), (29, 17), (100, 31), (31, 100), (64, 48), (120, 119)):
        wanted = of_images(np.zeros((height, width, 3), np.uint8), return_tensors="pt")["pixel_values"]
        assert preprocessing.unpadded((height, width)) == tuple(wanted.shape[-2:])


def test_resampling_changes_what_is_seen() -> None:
    """A fine checkerboard is grey when averaged over, and black or white when sampled."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    images = torch.from_numpy(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))[None]
    pillow = Preprocessing(resize=(9, 9), resample="pillow-bilinear")(images)
    plain = Preprocessing(resize=(9, 9))(images)
    assert float(pillow.std()) < 0.02 < 0.1 < float(plain.std())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resample": "nearest"}, "resample is 'nearest', but must be bilinear, pillow-bilinear or pillow-bicubic"),
        ({"longest": 0}, r"longest is 0, but must be an integer in 1\.\.16384"),
        ({"resize": 0}, r"resize is 0, but must be height and width, such as \[512, 1024\], or a side"),
        ({"resize": True}, "resize is True"),
    ],
)
def test_bad_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SegablateError, match=message):
        Preprocessing.parse(values)


def test_in_words() -> None:
    said = Preprocessing(resize=512, longest=2048, resample="pillow-bicubic")
    assert "shorter side resized to 512, the longer at most 2048 (pillow-bicubic)" in str(said)
    assert Preprocessing.parse(json.loads(json.dumps(said.plain()))) == said


@pytest.mark.parametrize(
    ("said", "preprocessing", "note"),
    [
        ({}, {"scale": "1/255"}, None),
        ({"do_rescale": False}, {"scale": "1"}, None),
        ({"rescale_factor": 0.5}, {"scale": "0.5"}, None),
        ({"image_mean": [0.5] * 3}, {"mean": (0, 0, 0)}, None),
        ({"do_normalize": True, "image_mean": [0.1, 0.2, 0.3], "do_flip_channel_order": True},
         {"mean": (0.3, 0.2, 0.1), "channels": "bgr"}, None),
        ({"do_resize": True, "size": 64}, {"resize": (64, 64)}, None),
        ({"do_resize": True, "size": [48, 64], "size_divisor": 32}, {"resize": (64, 64)}, None),
        ({"do_resize": True, "size": {"shortest_edge": 60}, "size_divisor": 32},
         {"resize": 60, "pad_to_multiple": 32}, "padded to a multiple of 32, to which the image processor stretches"),
        ({"do_center_crop": True}, {"resize": None}, "centre crop is left out"),
        ({"do_resize": True, "size": {"height": 100, "width": 70}, "keep_aspect_ratio": True, "ensure_multiple_of": 32},
         {"resize": (96, 64)}, "resized to a square"),
    ],
)  # fmt: skip
def test_what_a_processor_says(tmp_path: Path, said: dict, preprocessing: dict, note: str | None) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found = read_image_processor(tmp_path, "segformer", None)
    assert {name: getattr(found.preprocessing, name) for name in preprocessing} == preprocessing
    assert (note in found.notes[0]) if note else not found.notes


def test_a_number_is_the_shorter_side_for_some(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"do_resize": true, "size": 800, "max_size": 1333}')
    found = read_image_processor(tmp_path, "mask2former", None).preprocessing
    assert (found.resize, found.longest) == (800, 1333)


def test_processors_may_be_saved_with_a_tokenizer(tmp_path: Path) -> None:
    said = {"do_normalize": True, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": said}))
    found = read_image_processor(tmp_path, "oneformer", None)
    assert (found.preprocessing.mean, found.notes) == ((0.1, 0.2, 0.3), ())


def test_networks_of_one_size_get_it(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text('{"do_resize": true, "size": {"shortest_edge": 64, "longest_edge": 64}}')
    padded = read_image_processor(tmp_path, "eomt", (64, 64))
    assert padded.preprocessing(torch.zeros(1, 40, 100, 3, dtype=torch.uint8)).shape == (1, 3, 64, 64)
    assert padded.preprocessing.unpadded((40, 100)) == (26, 64)
    assert "padded to a square" in padded.notes[0]
    path.write_text('{"do_resize": true, "size": {"shortest_edge": 64}, "do_split_image": true}')
    cut = read_image_processor(tmp_path, "eomt", (64, 64))
    assert (cut.window, cut.preprocessing.resize, cut.preprocessing.pad_to_multiple) == (64, 64, None)
    path.write_text("{}")
    assert read_image_processor(tmp_path, "beit", (64, 64)).preprocessing.resize == (64, 64)


def test_bad_processors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text('{"do_resize": true, "size": {"max_height": 3}}')
    with pytest.raises(SegablateError, match=r"preprocessor_config\.json: size is .*; expected height and width"):
        read_image_processor(tmp_path, "segformer", None)
    path.write_text("[]")
    with pytest.raises(SegablateError, match=r"preprocessor_config\.json: is not"):
        read_image_processor(tmp_path, "segformer", None)
    path.unlink()
    found = read_image_processor(tmp_path, "beit", (64, 64))
    assert found.preprocessing.resize == (64, 64)
    assert "no preprocessor_config.json" in found.notes[0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"resample": {}}, "'resample' is a mapping, but must be a whole number or null"),
        ({"rescale_factor": "1/255"}, "'rescale_factor' is '1/255', but must be a number or null"),
        ({"size_divisor": "32"}, "'size_divisor' is '32', but must be a whole number"),
        ({"ensure_multiple_of": [32]}, "'ensure_multiple_of' is a list, but must be a whole number"),
        ({"size": 10**400}, "'size' is a number of more than 64 bits, but must be a whole number or null or a list"),
        ({"size": {"height": 1.5, "width": 3}}, "'size': 'height' is 1.5, but must be a whole number"),
        ({"size": 10**9}, r"resize is \[1000000000, 1000000000\], but must be .* of at most 16384"),
        ({"image_processor": []}, "the image processor is a list, but must be a mapping"),
    ],
)
def test_values_of_another_type_are_refused(tmp_path: Path, said: dict[str, Any], message: str) -> None:
    usual = {"do_resize": True, "size": {"height": 64, "width": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**usual, **said}))
    with pytest.raises(SegablateError, match=rf"preprocessor_config\.json: .*{message}"):
        read_image_processor(tmp_path, "segformer", None)
