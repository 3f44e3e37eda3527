"""Networks of transformers, saved by that library with random weights, give here what they give there."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.mask_queries import class_scores
from segablate.checkpoints.network import Network
from segablate.errors import SegablateError
from segablate.evaluation.scores import whole_scores
from segablate.samples import Batch, Sample
from tests.hf_networks import NETWORKS, PROCESSORS, oneformer, processor, segformer, transformers

pytestmark = pytest.mark.usefixtures("offline")


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
    scores = whole_scores(output)  # EoMT's run in windows
    assert one.image is not None
    wanted = expected_scores(network, of_images, one.image)
    assert float(wanted.std(dim=(1, 2)).max()) > (1e-5 if queries else 1e-3)
    torch.testing.assert_close(scores[0], wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    assert torch.equal(scores[0].argmax(0), wanted.argmax(0))


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
    (tmp_path / "code.py").write_text("raise SystemExit('was run')")
    change_json(tmp_path / "tokenizer_config.json", auto_map={"AutoTokenizer": ["code.Tokenizer", None]})
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
    refused(tmp_path / "empty", r"config\.json: no such file; give a folder written by save_pretrained")
    refused(tmp_path / "absent", "absent: no such folder")
    refused(small_folder / "config.json", "is a file; give the folder")
    (tmp_path / "empty" / "config.json").write_text('{"_model_class": "Unet"}')
    refused(tmp_path / "empty", r"names no model_type.*write smp:.*empty")
    (tmp_path / "empty" / "config.json").write_text('{"_model')
    refused(tmp_path / "empty", "is not valid JSON")


def test_networks_for_other_tasks_are_refused(small_folder: Path) -> None:
    change_json(small_folder / "config.json", architectures=["SegformerForImageClassification"])
    refused(small_folder, "is of SegformerForImageClassification, which is no network for semantic segmentation")
    change_json(small_folder / "config.json", model_type="bert", architectures=["BertForMaskedLM"])
    refused(small_folder, "is of BertForMaskedLM, which is no .* available: beit, ")
    code = {"auto_map": {"AutoModel": "code.Net"}, "model_type": "mine", "architectures": ["NetForSegmentation"]}
    (small_folder / "code.py").write_text("raise SystemExit('was run')")
    change_json(small_folder / "config.json", **code)
    refused(small_folder, "is of NetForSegmentation, which is no network")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"hidden_sizes": "x"}, "does not fit transformers"),
        ({"hidden_sizes": {"a": 1}}, "does not fit transformers"),
        ({"architectures": {"a": 1}}, "architectures a list of names"),
        ({"model_type": ["segformer"]}, "model_type must be a name"),
    ],
)
def test_entries_of_other_types_are_refused(entry: dict[str, Any], message: str, small_folder: Path) -> None:
    change_json(small_folder / "config.json", **entry)
    refused(small_folder, message)


def test_code_beside_a_known_network_is_not_run(small_folder: Path) -> None:
    """Where a configuration names code of its own, the library would run it if it were trusted."""
    (small_folder / "code.py").write_text("raise SystemExit('was run')")
    change_json(small_folder / "config.json", auto_map={"AutoConfig": "code.Config"})
    assert open_checkpoint(f"hf:{small_folder}").classes == ("sky", "road", "car", "tree", "void")


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
    refused(small_folder, r"index\.json: names 2 weights files, of which b\.bin is missing")


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
    with pytest.raises(SegablateError, match=r"hf:someone/net: no such folder.* pass --allow-download"):
        open_checkpoint("hf:someone/net")
    assert open_checkpoint("hf:someone/net", Loading(allow_download=True)).source.spec == "hf:someone/net"
    assert asked == [("someone/net", True), ("someone/net", False)]


def test_the_hub_is_not_asked_for_what_is_not_in_the_cache() -> None:
    with pytest.raises(SegablateError, match=r"hf:someone/net-that-is-not-here: no such folder, and no such model"):
        open_checkpoint("hf:someone/net-that-is-not-here")


def test_what_cannot_be_fetched_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def snapshot(name: str, **options: Any) -> str:
        raise ConnectionError("no way\nto the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(SegablateError, match="hf:someone/net cannot be downloaded: no way to the hub"):
        open_checkpoint("hf:someone/net", Loading(allow_download=True))


def test_a_bare_folder_is_recognised(small_folder: Path) -> None:
    with pytest.raises(
        SegablateError, match=f"is a folder of save_pretrained; write hf:{small_folder} for transformers"
    ):
        open_checkpoint(str(small_folder))


def test_what_is_not_installed_is_named(small_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "transformers", None)
        patched.delitem(sys.modules, "segablate.checkpoints.hf_network", raising=False)
        refused(small_folder, r"net needs transformers, which is not installed; pip install 'segablate\[hf\]'")
    found = importlib.import_module

    def broken(name: str) -> Any:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return found(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    refused(small_folder, "net needs torchvision, which is installed but cannot be imported .*nms does not exist")
