"""Networks of transformers, saved by that library with random weights, give here what they give there."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.image_processor import read_image_processor
from segablate.checkpoints.mask_queries import class_scores
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.errors import SegablateError
from segablate.samples import Batch, Sample
from tests.hf_networks import NETWORKS, PROCESSORS, oneformer, processor, segformer, transformers


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda make: make.__name__)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A folder with a network and its processor, and both."""
    name, said = PROCESSORS[request.param.__name__]
    torch.manual_seed(0)
    network = request.param().eval()
    with torch.no_grad():
        for parameter in network.parameters():  # or all pixels have nearly the same scores
            parameter.add_(torch.randn_like(parameter) * 0.25)
    folder = tmp_path_factory.mktemp(request.param.__name__)
    of_images = processor(name)(**said)
    network.save_pretrained(folder)
    of_images.save_pretrained(folder)
    return folder, network, of_images


def sample(size: tuple[int, int], seed: int = 0) -> Sample:
    """A smooth image and labels of one class."""
    rough = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed)) * 255
    image = torch.nn.functional.interpolate(rough, size, mode="bicubic").clamp(0, 255)[0].permute(1, 2, 0)
    return Sample(0, "a", image.numpy().astype(np.uint8), np.zeros(size, np.uint8), "")


def expected_scores(network: Any, of_images: Any, image: np.ndarray) -> torch.Tensor:
    """K, H, W by the library alone."""
    inputs = of_images(image, return_tensors="pt")
    with torch.no_grad():
        output = network(inputs["pixel_values"])
    size = image.shape[:2]
    if "logits" in output:
        return torch.nn.functional.interpolate(output.logits, size, mode="bilinear", align_corners=False)[0]
    output.patch_offsets = inputs.get("patch_offsets")
    found = of_images.post_process_semantic_segmentation(output, [size], return_segmentation_scores=True)
    return found[0].segmentation_scores / output.class_queries_logits.shape[1]


def test_scores_are_those_of_the_library(saved: tuple[Path, Any, Any]) -> None:
    folder, network, of_images = saved
    one = sample((64, 64 if folder.name[:-1] in ("beit", "dpt") else 96))
    segmenter = open_checkpoint(f"hf:{folder}")
    assert isinstance(segmenter, Network)
    output = segmenter(Batch((one,)))
    queries = folder.name[:-1] in ("mask2former", "maskformer", "eomt")
    assert output.kind == ("probabilities" if queries else "softmax")
    assert output.scores is not None
    assert one.image is not None
    wanted = expected_scores(network, of_images, one.image)
    assert float(wanted.std(dim=(1, 2)).max()) > (1e-5 if queries else 1e-3)
    torch.testing.assert_close(output.scores[0], wanted, rtol=1e-4, atol=1e-6 if queries else 1e-4)
    assert torch.equal(output.scores[0].argmax(0), wanted.argmax(0))


def test_other_sizes_are_resized_as_by_the_library(saved: tuple[Path, Any, Any]) -> None:
    """Within a grey level, to which the library's arithmetic rounds."""
    folder, _, of_images = saved
    one = sample((112, 168))
    assert one.image is not None
    segmenter = open_checkpoint(f"hf:{folder}")
    pixels = segmenter.preprocessing(torch.from_numpy(one.image)[None])
    if "eomt" in folder.name:
        of_images = type(of_images)(**{**of_images.to_dict(), "do_split_image": False})
    wanted = of_images(one.image, return_tensors="pt")["pixel_values"]
    assert pixels.shape == wanted.shape
    difference = (pixels - wanted).abs() * min(segmenter.preprocessing.std)
    assert float(difference.max()) < 1.01 / 255
    assert float(difference.mean()) < 0.25 / 255


def test_the_source_names_what_was_read(saved: tuple[Path, Any, Any]) -> None:
    folder, network, _ = saved
    segmenter = open_checkpoint(f"hf:{folder}")
    assert segmenter.classes == ("sky", "road", "car", "tree", "void")
    assert [path.name for path in segmenter.source.files] == [
        "config.json", "preprocessor_config.json", "model.safetensors",
    ]  # fmt: skip
    assert segmenter.source.facts["network"].startswith(f"{type(network).__name__} of transformers ")


@pytest.mark.parametrize("name", ["Mask2FormerImageProcessor", "MaskFormerImageProcessor", "EomtImageProcessor"])
def test_masks_and_classes_are_joined_as_by_the_library(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    classes = torch.randn(1, 20, 6, generator=generator) * 4
    masks = torch.randn(1, 20, 16, 24, generator=generator) * 4
    of_images = processor(name)()
    output = SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks, patch_offsets=None)
    wanted = of_images.post_process_semantic_segmentation(output, [(64, 96)])[0]
    size = {"Mask2": (384, 384), "MaskF": None, "EomtI": (640, 640)}[name[:5]]
    scores = torch.nn.functional.interpolate(class_scores(classes, masks, size), (64, 96), mode="bilinear")
    assert torch.equal(scores[0].argmax(0), wanted)
    assert len(wanted.unique()) == 4


def test_scores_of_mask_queries_by_hand() -> None:
    """One query that is surely class 1 on the left, and one that is no object."""
    classes = torch.tensor([[[-50.0, 50, -50], [-50.0, -50, 50]]])
    masks = torch.tensor([[[[50.0, -50]], [[50.0, 50]]]])
    torch.testing.assert_close(class_scores(classes, masks), torch.tensor([[[[0.0, 0]], [[0.5, 0]]]]))


@pytest.mark.parametrize("longest", [None, 40, 70])
@pytest.mark.parametrize("shorter", [16, 33])
def test_sides_in_proportion_are_those_of_the_library(shorter: int, longest: int | None) -> None:
    size = {"shortest_edge": shorter, "longest_edge": longest} if longest else {"shortest_edge": shorter}
    of_images = processor("MobileViTImageProcessor")(size=size, do_center_crop=False)
    preprocessing = Preprocessing(resize=shorter, longest=longest)
    for height, width in ((16, 16), (17, 29), (29, 17), (100, 31), (31, 100), (64, 48), (120, 119)):
        wanted = of_images(np.zeros((height, width, 3), np.uint8), return_tensors="pt")["pixel_values"]
        assert preprocessing.unpadded((height, width)) == tuple(wanted.shape[-2:])


def test_oneformer_is_told_its_task(tmp_path: Path) -> None:
    network = oneformer().eval()
    network.save_pretrained(tmp_path)
    refused(tmp_path, r"holds no tokenizer\.json or vocab\.json, which OneFormer needs")
    letters = [letter + end for end in ("", "</w>") for letter in "acehikmnst"]
    words = {word: index for index, word in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    tokenizer.save_pretrained(tmp_path)
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    row = tokenizer("the task is semantic", padding="max_length", max_length=40)
    assert len(set(row["attention_mask"])) == 2
    task = torch.tensor([row["input_ids"]]) * torch.tensor([row["attention_mask"]])
    with torch.no_grad():
        output = network(pixels, task_inputs=task.expand(2, -1))
        scores = open_checkpoint(f"hf:{tmp_path}").module(pixels)
    torch.testing.assert_close(scores, class_scores(output.class_queries_logits, output.masks_queries_logits))


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A folder with a small network and its processor."""
    segformer().save_pretrained(tmp_path / "net")
    processor("SegformerImageProcessor")(do_resize=False).save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def refused(folder: Path, match: str, **loading: Any) -> None:
    with pytest.raises(SegablateError, match=match) as error:
        open_checkpoint(f"hf:{folder}", Loading(**loading))
    assert "\n" not in str(error.value)


HEAD = "decode_head.classifier.weight"


def test_a_missing_key_is_refused(small_folder: Path) -> None:
    change_weights(small_folder, lambda tensors: tensors.pop(HEAD))
    refused(
        small_folder, rf"net: 1 key missing from the file \({HEAD}\); config\.json and the weights are of different"
    )


def test_an_unexpected_key_is_refused(small_folder: Path) -> None:
    change_weights(small_folder, lambda tensors: tensors.update({"extra.weight": torch.zeros(2)}))
    refused(small_folder, r"net: 1 key not in the network \(extra\.weight\)")


def test_indices_that_the_library_computes_are_not_missed(small_folder: Path) -> None:
    change_weights(small_folder, lambda tensors: tensors.update({"a.relative_position_index": torch.zeros(2)}))
    assert open_checkpoint(f"hf:{small_folder}").classes


def test_another_number_of_classes_is_refused(small_folder: Path) -> None:
    change_weights(small_folder, lambda tensors: tensors.update({HEAD: torch.zeros(7, 8, 1, 1)}))
    refused(small_folder, rf"of another shape \({HEAD} is 7x8x1x1 in the file and 5x8x1x1 in the network\)")


def test_damaged_weights_are_refused(small_folder: Path) -> None:
    path = small_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused(small_folder, r"model\.safetensors: this is damaged or cut short")


def test_a_folder_without_weights_is_refused(small_folder: Path) -> None:
    (small_folder / "model.safetensors").unlink()
    refused(small_folder, r"net holds no weights; expected model\.safetensors or pytorch_model\.bin")


def test_other_folders_are_refused(tmp_path: Path, small_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"config\.json: there is no such file; give a folder that save_pretrained")
    refused(tmp_path / "absent", "absent: there is no such folder")
    refused(small_folder / "config.json", "is a file; give the folder")
    (tmp_path / "empty" / "config.json").write_text('{"_model_class": "Unet"}')
    refused(tmp_path / "empty", r"names no model_type.*write smp:DIR")
    (tmp_path / "empty" / "config.json").write_text('{"_model')
    refused(tmp_path / "empty", "is not valid JSON")


def test_networks_for_other_tasks_are_refused(small_folder: Path) -> None:
    change_json(small_folder / "config.json", architectures=["SegformerForImageClassification"])
    refused(small_folder, "is of SegformerForImageClassification, not of a network for semantic segmentation")
    change_json(small_folder / "config.json", model_type="bert", architectures=["BertForMaskedLM"])
    refused(small_folder, "is of BertForMaskedLM, not .* there is beit, ")
    code = {"auto_map": {"AutoModel": "code.Net"}, "model_type": "mine", "architectures": ["NetForSegmentation"]}
    (small_folder / "code.py").write_text("raise SystemExit('was run')")
    change_json(small_folder / "config.json", **code)
    refused(small_folder, "is of NetForSegmentation, not of a network")


def test_a_pickle_and_its_parts_are_read(small_folder: Path) -> None:
    tensors = load_file(small_folder / "model.safetensors")
    expected = open_checkpoint(f"hf:{small_folder}")(Batch((sample((32, 48)),))).scores
    (small_folder / "model.safetensors").unlink()
    torch.save(tensors, small_folder / "pytorch_model.bin")
    assert torch.equal(open_checkpoint(f"hf:{small_folder}")(Batch((sample((32, 48)),))).scores, expected)
    (small_folder / "pytorch_model.bin").unlink()
    names = sorted(tensors)
    parts = {"a.bin": names[::2], "b.bin": names[1::2]}
    for part, keys in parts.items():
        torch.save({key: tensors[key] for key in keys}, small_folder / part)
    index = {"weight_map": {key: part for part, keys in parts.items() for key in keys}}
    (small_folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    segmenter = open_checkpoint(f"hf:{small_folder}")
    assert torch.equal(segmenter(Batch((sample((32, 48)),))).scores, expected)
    assert [path.name for path in segmenter.source.files[-2:]] == ["a.bin", "b.bin"]
    (small_folder / "b.bin").unlink()
    refused(small_folder, r"index\.json: names 2 parts, but b\.bin is not there")


def test_half_precision_is_run_in_full(small_folder: Path) -> None:
    segformer().half().save_pretrained(small_folder)
    segmenter = open_checkpoint(f"hf:{small_folder}")
    assert {parameter.dtype for parameter in segmenter.module.parameters()} == {torch.float32}


def test_unnamed_classes_are_not_names(small_folder: Path) -> None:
    change_json(small_folder / "config.json", id2label={str(index): f"LABEL_{index}" for index in range(5)})
    assert open_checkpoint(f"hf:{small_folder}").classes is None


def test_the_command_line_overrides_the_processor(small_folder: Path) -> None:
    segmenter = open_checkpoint(f"hf:{small_folder}", Loading(preprocessing={"resize": [32, 48]}, output="sigmoid"))
    assert segmenter.preprocessing.resize == (32, 48)
    assert segmenter.preprocessing.mean == (0.485, 0.456, 0.406)
    assert segmenter.kind == "sigmoid"


def test_the_hub_is_not_asked_without_leave(monkeypatch: pytest.MonkeyPatch, small_folder: Path) -> None:
    import huggingface_hub

    asked = []

    def snapshot(name: str, allow_patterns: Any, local_files_only: bool) -> str:
        asked.append((name, local_files_only))
        if local_files_only:
            raise FileNotFoundError("not in the cache")
        return str(small_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(SegablateError, match=r"hf:someone/net: there is no such folder.* pass --allow-download"):
        open_checkpoint("hf:someone/net")
    assert open_checkpoint("hf:someone/net", Loading(allow_download=True)).source.spec == "hf:someone/net"
    assert asked == [("someone/net", True), ("someone/net", False)]


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
    assert "there is no preprocessor_config.json" in found.notes[0]
