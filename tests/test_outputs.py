"""What networks return is read in the forms that are out there, and where it could be meant otherwise that is said."""

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import CLASSES
from torch import Tensor, nn

from segablate.api.maps import scores_output
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.network import Network
from segablate.checkpoints.outputs import channels_first, choose_scores, read_output
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Source
from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.errors import CheckpointError, DeviceError
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.losses import get_loss
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch, Sample

IMAGES = torch.Size((2, 3, 24, 32))
CPU = Loading(device="cpu")


def scores(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


class Fixed(nn.Module):
    """Gives for every image what a function makes of its pixels in 0..1."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def network(function: Any, **more: Any) -> Network:
    return Network(Fixed(function), Preprocessing(), Source("net"), **more)


def batch(size: tuple[int, int] = (24, 32), count: int = 2) -> Batch:
    rng = np.random.default_rng(3)
    samples = (rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(count))
    return Batch(tuple(Sample(i, str(i), image, image[..., 0], "") for i, image in enumerate(samples)))


# several outputs


@pytest.mark.parametrize(
    ("head", "taken"), [(None, "out"), ("aux", "aux"), ("out", "out"), ("1", "aux"), ("-1", "aux"), ("0", "out")]
)
def test_a_head_by_name_or_by_place(head: str | None, taken: str) -> None:
    output = {"out": scores(2, 4, 24, 32), "aux": scores(2, 4, 12, 16)}
    chosen, note = choose_scores(output, head)
    assert chosen is output[taken]
    assert note == ""


def test_the_first_of_a_list_is_taken_and_that_is_said() -> None:
    pyramid = [scores(2, 4, 24, 32), scores(2, 4, 12, 16), scores(2, 4, 6, 8)]
    chosen, note = choose_scores(tuple(pyramid))
    assert chosen is pyramid[0]
    assert note == (
        "the network returns 3 outputs (0: 2x4x24x32, 1: 2x4x12x16, 2: 2x4x6x8); the first is used; choose "
        "another with --head"
    )
    assert choose_scores(pyramid, "2")[0] is pyramid[2]
    assert choose_scores(pyramid[:1])[1] == ""


def test_the_one_map_of_a_dictionary_is_meant() -> None:
    output = {"loss": torch.zeros(()), "segmentation": scores(2, 4, 24, 32), "names": ["a"]}
    assert choose_scores(output)[0] is output["segmentation"]
    with pytest.raises(CheckpointError, match="dictionary with a, b, not out or logits; choose one with --head"):
        choose_scores({"a": scores(2, 4, 24, 32), "b": scores(2, 4, 24, 32)})


@pytest.mark.parametrize(
    ("output", "head", "message"),
    [
        (torch.zeros(1, 4, 8, 8), "aux", "has a single output, not a head 'aux'; leave out --head"),
        ({"out": 0, "aux": 0}, "auxx", "has no head 'auxx'; available: out, aux"),
        ([torch.zeros(1, 4, 8, 8)] * 2, "2", "has no head '2'; available: 0, 1"),
        ([torch.zeros(1, 4, 8, 8)] * 2, "-3", "has no head '-3'"),
        ({"out": torch.zeros(1, 4, 8, 8), "names": ["a"]}, "names", "returns list; expected a tensor"),
    ],
)
def test_a_head_that_is_not_there(output: Any, head: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        choose_scores(output, head)


def test_the_head_of_a_network(toy: Path, network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = f"python:{network_file}:small(4, form='list')@{network_file.with_suffix('.pth')}"
    command = ["evaluate", spec, f"folder:{toy}", "--device", "cpu", "--workers", "0", "--losses", "ce"]
    assert run(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "the network returns 2 outputs (0: 1x4x24x32, 1: 1x4x24x32); the first is used" in printed
    assert run([*command, "--head=1", "--format", "json"]) == 0  # the second output is all 0
    printed = capsys.readouterr().out
    assert "1.3862" in printed
    assert "softmax of head 1" in printed
    assert run([*command, "--head", "aux"]) == 1
    assert "has no head 'aux'; available: 0, 1" in capsys.readouterr().err


# layout


@pytest.mark.parametrize(
    ("shape", "classes", "turned"),
    [
        ((2, 4, 24, 32), None, False),
        ((2, 24, 32, 4), None, True),
        ((2, 4, 6, 8), None, False),
        ((2, 6, 8, 4), None, True),
        ((2, 7, 9, 4), None, True),  # strides that round up
        ((2, 18, 24, 32), None, False),  # 18x24 would be in proportion, 24x32 is the size itself
        ((2, 24, 32, 24), None, True),
        ((2, 1, 24, 32), None, False),
        ((2, 24, 32, 1), None, True),
        ((2, 4, 100, 7), None, False),  # neither fits: as networks of torch have it
    ],
)
def test_channels_are_found_by_the_sides_of_the_image(shape: tuple[int, ...], classes: Any, turned: bool) -> None:
    output = scores(*shape)
    found, note = channels_first(output, (24, 32), classes)
    assert torch.equal(found, output.permute(0, 3, 1, 2) if turned else output)
    assert note == ""


@pytest.mark.parametrize("stride", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 4, 5, 6)], ids=["down", "up"])
def test_sides_at_a_stride_fit_better_than_sides_in_proportion(stride: int, shape: tuple[int, ...]) -> None:
    output = scores(*shape)
    found, note = channels_first(output, (4 * stride - 1, 5 * stride - 1))
    assert torch.equal(found, output.permute(0, 3, 1, 2))
    assert note == ""


def test_where_both_orders_fit_the_classes_tell_and_else_it_is_said() -> None:
    output = scores(2, 8, 8, 7)
    assert torch.equal(channels_first(output, (16, 16), 7)[0], output.permute(0, 3, 1, 2))
    assert channels_first(output, (16, 16), 8)[0] is output
    assert channels_first(output, (16, 16), 7)[1] == ""
    output = scores(2, 8, 8, 8)
    found, note = channels_first(output, (16, 16))
    assert found is output
    assert note == (
        "the network's output 2x8x8x8 could have its channels first or last, and was read as channels first; state "
        "the classes in a card to decide"
    )
    found, note = channels_first(output, (16, 16), usually_last=True)
    assert torch.equal(found, output.permute(0, 3, 1, 2))
    assert "read as channels last" in note


def test_channels_last_is_the_same_output(network_file: Path) -> None:
    first = network(lambda x: torch.cat([x, x[:, :1]], 1))(batch()).scores
    last = network(lambda x: torch.cat([x, x[:, :1]], 1).permute(0, 2, 3, 1))(batch()).scores
    assert first is not None
    assert last is not None
    assert torch.equal(first, last)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 24, 32), r"returns \(5, 24, 32\) for a batch of 2; expected a tensor N x classes"),
        ((24, 32), r"returns \(24, 32\); expected a tensor"),
        ((2, 1, 4, 24, 32), r"returns \(2, 1, 4, 24, 32\); expected a tensor"),
        ((3, 4, 24, 32), r"returns \(3, 4, 24, 32\) for a batch of 2; expected a tensor"),
        ((0, 4, 24, 32), r"returns \(0, 4, 24, 32\) for a batch of 2; expected a tensor"),
        ((2, 4, 0, 32), r"returns \(2, 4, 0, 32\) for a batch of 2; expected a tensor"),
    ],
)
def test_shapes_that_are_no_score_maps(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_output(scores(*shape), IMAGES, "softmax")


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (lambda x: x.to_sparse(), "returns a sparse tensor; expected a dense one"),
        (lambda x: x.to("meta"), "returns a tensor without values; expected a dense one"),
        (lambda x: x.to(torch.complex64), "returns a complex tensor; expected a dense one of floats"),
    ],
)
def test_tensors_that_are_no_scores(convert: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_output(convert(scores(2, 4, 24, 32)), IMAGES, "softmax")


def test_scores_that_ask_for_gradients_are_read_without() -> None:
    wanting = network(lambda x: torch.cat([x, x[:, :1]], 1).clone().requires_grad_())(batch(count=1)).scores
    plain = network(lambda x: torch.cat([x, x[:, :1]], 1))(batch(count=1)).scores
    assert wanting is not None
    assert not wanting.requires_grad
    assert torch.equal(wanting, plain)  # type: ignore[arg-type]


def test_a_network_that_ends_the_program_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="fails on images of 24x32: SystemExit 3, the end of the program"):
        network(lambda x: sys.exit(3))(batch())
    with pytest.raises(SystemExit):  # as SIGTERM ends it
        network(lambda x: sys.exit(128 + 15))(batch())


# one channel for two classes


@pytest.mark.parametrize("axis", [True, False])
def test_one_channel_with_or_without_its_axis(axis: bool) -> None:
    made = network(lambda x: (x[:, :1] if axis else x[:, 0]) * 6 - 3)(batch()).scores
    assert made is not None
    z = torch.from_numpy(batch().images).permute(0, 3, 1, 2)[:, :1].float() / 255 * 6 - 3
    assert torch.allclose(made.softmax(1)[:, 1:], z.sigmoid(), atol=1e-6)
    assert made.shape == (2, 2, 24, 32)


def test_one_coarse_logit_is_brought_to_size_before_it_becomes_two() -> None:
    coarse = scores(1, 1, 6, 8) * 4
    made = network(lambda x: coarse)(batch(count=1)).scores
    assert made is not None
    fine = nn.functional.interpolate(coarse, (24, 32), mode="bilinear")
    assert torch.allclose(made[:, 1:] - made[:, :1], fine, atol=1e-5)


# what values can be


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_logits_that_look_like_probabilities_are_remarked_on(kind: str) -> None:
    shares = scores(2, 1, 24, 32).sigmoid()
    (note,) = read_output(shares, IMAGES, kind)[1]
    assert note == (
        f"all values of the network are in 0..1, but were read as {kind} logits; if they are probabilities, pass "
        f"--output probabilities"
    )
    assert read_output(shares, IMAGES, "probabilities")[1] == ()
    assert read_output(shares - 0.5, IMAGES, kind)[1] == ()
    assert read_output(torch.zeros(2, 4, 24, 32), IMAGES, kind)[1] == ()


def test_probabilities_that_are_none() -> None:
    with pytest.raises(
        CheckpointError, match=r"stated to be probabilities, but its values are -4\.09 to 4\.1; pass --output s"
    ):
        read_output(scores(2, 4, 24, 32), IMAGES, "probabilities")
    barely = torch.full((2, 1, 24, 32), 1.0005)
    assert read_output(barely, IMAGES, "probabilities")[0] is barely


def test_nan_is_still_reported_as_such(toy: Path) -> None:
    segmenter = network(lambda x: torch.full((1, 4, 24, 32), float("nan")), kind="probabilities")
    with pytest.raises(CheckpointError, match="the output of the network is NaN for s0"):
        evaluate(segmenter, open_dataset(f"folder:{toy}"), Measures())


def test_scores_for_training_are_those_of_the_network() -> None:
    images = torch.randint(0, 256, (2, 24, 32, 3), generator=torch.Generator().manual_seed(0)).byte()
    grey = images[..., :1].permute(0, 3, 1, 2).float() / 255
    one = network(lambda x: x[:, :1], kind="sigmoid").scores(images)  # N 2 H W
    assert one.shape == (2, 2, 24, 32)
    assert torch.allclose(one[:, 1:] - one[:, :1], grey)  # the difference of the log sigmoids of z and −z is z
    labels = network(lambda x: (x[:, :1] * 3).long()).scores(images)
    assert torch.equal(labels, (grey * 3).long())


def test_no_memory_is_one_clear_line() -> None:
    def full(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("of 3 GiB")

    with pytest.raises(
        DeviceError, match="cpu has too little memory for 2 images of 24x32; use a smaller --batch-size"
    ):
        network(full)(batch())


# label maps: an argmax inside the network


def logits(x: Tensor) -> Tensor:
    """Four classes of images of 24x32, from their colours."""
    return torch.cat([x, 1 - x.sum(1, keepdim=True)], 1)


FORMS = {
    "int64": lambda x: logits(x).argmax(1),
    "with its axis": lambda x: logits(x).argmax(1, keepdim=True),
    "axis last": lambda x: logits(x).argmax(1)[..., None],
    "int32": lambda x: logits(x).argmax(1).int(),
    "uint8": lambda x: logits(x).argmax(1).byte(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stated", [True, False])
def test_label_maps_give_the_counts_that_scores_give(form: str, stated: bool, toy: Path) -> None:
    dataset = open_dataset(f"folder:{toy}")
    measures = Measures(tolerances=(Tolerance.parse("3"),))
    of_scores = evaluate(network(logits), dataset, measures)
    of_maps = evaluate(network(FORMS[form], **({"kind": "labels"} if stated else {})), dataset, measures)
    for name in ("image", "label", "predicted", "pixels"):
        assert np.array_equal(getattr(of_maps.confusion, name), getattr(of_scores.confusion, name))
    assert of_maps.boundary is not None
    assert of_scores.boundary is not None
    arrays = of_scores.boundary.to_arrays()
    assert all(np.array_equal(array, arrays[name]) for name, array in of_maps.boundary.to_arrays().items())
    said = "the network returns label maps, not scores: its argmax is inside"
    assert (said in of_maps.notes) == (not stated)


def test_label_maps_are_matched_by_name_and_surplus_lies_outside(toy: Path) -> None:
    dataset = open_dataset(f"folder:{toy}")
    order = ("sky", "void", *CLASSES[:3])
    to_own = torch.tensor([order.index(name) for name in CLASSES])
    plain = evaluate(network(lambda x: logits(x).argmax(1)), dataset, Measures())
    named = evaluate(network(lambda x: to_own[logits(x).argmax(1)], classes=order), dataset, Measures())
    assert np.array_equal(named.confusion.predicted, plain.confusion.predicted)
    assert np.array_equal(named.confusion.pixels, plain.confusion.pixels)
    outside = evaluate(network(lambda x: logits(x).argmax(1) + 7), dataset, Measures())
    assert set(outside.confusion.predicted.tolist()) == {len(CLASSES)}


def test_values_that_are_no_index_lie_outside() -> None:
    few = torch.tensor([0, 3, 254, -1]).reshape(1, 1, 4)
    found, _ = read_output(few, torch.Size((1, 3, 1, 4)), "labels")
    assert (found.dtype, found.flatten().tolist()) == (torch.uint8, [0, 3, 254, 255])
    more = torch.tensor([0, 255, 256, -1, 1000, 65534, 65535, 70000]).reshape(1, 2, 4)
    found, _ = read_output(more, torch.Size((1, 3, 2, 4)), "labels")
    assert found.flatten().tolist() == [0, 255, 256, 65535, 1000, 65534, 65535, 65535]


def test_coarse_label_maps_grow_by_the_nearest_pixel() -> None:
    coarse = torch.arange(12).reshape(1, 3, 4)
    made = network(lambda x: coarse, kind="labels")(batch((6, 8), 1)).predicted
    assert made is not None
    assert np.array_equal(made[0], np.kron(coarse[0].numpy(), np.ones((2, 2), int)))


def test_floats_that_are_said_to_be_labels() -> None:
    whole = torch.tensor([[0.0, 2.0], [1.0, 3.0]])[None, None]
    found, notes = read_output(whole, torch.Size((1, 3, 2, 2)), "labels")
    assert found.dtype == torch.uint8
    assert found.flatten().tolist() == [0, 2, 1, 3]
    assert notes == ()
    with pytest.raises(CheckpointError, match="numbers that are not whole; a label map has class indices"):
        read_output(whole + 0.5, torch.Size((1, 3, 2, 2)), "labels")
    with pytest.raises(CheckpointError, match="returns scores of 4 channels, which is not a label map"):
        read_output(scores(2, 4, 24, 32), IMAGES, "labels")
    with pytest.raises(CheckpointError, match=r"returns integers \(int32\) of 4 channels"):
        read_output(scores(2, 4, 24, 32).int(), IMAGES, "softmax")


def test_label_maps_have_no_average_and_no_losses(toy: Path) -> None:
    dataset = open_dataset(f"folder:{toy}")
    mirrored = network(FORMS["int64"], inference=Inference(flip=True))
    with pytest.raises(CheckpointError, match="label maps, which cannot be averaged; leave out --window and --flip"):
        evaluate(mirrored, dataset, Measures())
    with pytest.raises(CheckpointError, match="returns label maps, but losses need scores; pass --output labels"):
        evaluate(network(FORMS["int64"]), dataset, Measures({"ce": get_loss("ce")}))


def test_label_maps_from_the_command_line(
    toy: Path, network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network_file.write_text(
        network_file.read_text() + "\n\nclass Decided(Small):\n    def forward(self, x):\n"
        "        return super().forward(x).argmax(1)\n\n\ndef decided():\n    return Decided(4)\n"
    )
    weights = network_file.with_suffix(".pth")
    command = ["evaluate", f"python:{network_file}:decided()@{weights}", f"folder:{toy}", "--device", "cpu"]
    command += ["--workers", "0"]
    assert run(command) == 1
    assert "losses need scores; pass --output labels" in capsys.readouterr().err
    assert run([*command, "--output", "labels", "--write-predictions", str(tmp_path / "maps")]) == 0
    capsys.readouterr()
    plain = f"python:{network_file}:small(4)@{weights}"
    written = ["evaluate", plain, *command[2:], "--write-predictions", str(tmp_path / "expected")]
    assert run(written) == 0
    for expected in sorted((tmp_path / "expected").glob("*.png")):
        assert np.array_equal(
            cv2.imread(str(tmp_path / "maps" / expected.name), cv2.IMREAD_UNCHANGED),
            cv2.imread(str(expected), cv2.IMREAD_UNCHANGED),
        )
    capsys.readouterr()
    assert run([*command, "--output", "labels", "--losses", "ce"]) == 2
    assert "--losses ce needs logits, but python:" in capsys.readouterr().err


def test_outputs_of_64_bits_keep_the_class_of_the_highest() -> None:
    """Of a network, and of logits in a loop: both become float32, in which 1e300 and 2e300 are infinite."""
    logits = torch.tensor([1e300, 2e300, 0.0], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    of_network, _ = read_output(logits, torch.Size((1, 3, 4, 5)), "softmax")
    of_loop = scores_output(logits, "softmax").scores
    for found in (of_network, of_loop):
        assert found is not None
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        assert (found.argmax(1) == 1).all()
