"""Names of a state dict brought to those of a network; strict loading and what it says."""

import pytest
import torch
from torch import nn

from segablate.errors import CheckpointError
from segablate.weights.fitting import count_classes, load_strictly
from segablate.weights.naming import without_prefix, without_wrappers


def network(classes: int = 11) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Module()
    model.encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    model.decoder = nn.Conv2d(8, classes, 1)
    return model


def renamed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in network().state_dict().items()}


NAMES = list(network().state_dict())


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "model.", "net.", "_orig_mod.", "module.module.", "_orig_mod.module.", "model.net._orig_mod."],
)
@pytest.mark.parametrize("names", [NAMES, []], ids=["names known", "names unknown"])
def test_prefixes_are_seen_alone_and_stacked(prefix, names):
    assert list(without_wrappers(renamed(prefix), names)) == NAMES


def test_classes_are_the_size_of_the_bias_of_a_head():
    tensors = {
        "module.ahead.bias": torch.zeros(3),
        "module.stem.bias": torch.zeros(5),
        "module.aux.head.bias": torch.zeros(7, 1),
        "module.head.bias": torch.zeros(21),
    }
    assert count_classes(tensors, ["head.bias"]) == 21
    assert count_classes(tensors, ["classifier.bias", "stem.bias"]) == 5
    assert count_classes(tensors, ["classifier.bias"]) is None
    assert count_classes({"head.bias": torch.zeros(4)}, ["head.bias"]) == 4


def test_a_prefix_that_the_network_has_itself_stays():
    wrapped = nn.Module()
    wrapped.model = network()
    names = wrapped.state_dict().keys()
    assert set(without_wrappers(renamed("model."), names)) == names
    assert set(without_wrappers(renamed("module.model."), names)) == names
    assert set(without_wrappers(renamed("model."), [])) == set(NAMES)


def test_a_prefix_of_some_keys_goes_only_where_that_makes_them_fit():
    tensors = {**renamed("model."), "criterion.weight": torch.ones(11)}
    assert set(without_wrappers(tensors, NAMES)) == {*NAMES, "criterion.weight"}
    assert list(without_wrappers(tensors, [])) == list(tensors)
    assert list(without_wrappers(tensors, ["something.else"])) == list(tensors)


def test_prefixes_that_would_merge_two_keys_stay():
    tensors = {"model.w": torch.ones(1), "w": torch.zeros(1)}
    assert without_wrappers(tensors, ["w"]) == tensors


def test_a_prefix_of_a_single_key_goes_too():
    assert list(without_wrappers({"module.w": torch.ones(1)}, [])) == ["w"]
    one = {"module.w": torch.ones(1), "b": torch.ones(1)}
    assert set(without_wrappers(one, ["w", "b"])) == {"w", "b"}


def test_nothing_has_no_prefix():
    assert without_wrappers({}, []) == without_wrappers({}, ["w"]) == {}


def test_a_key_that_is_nothing_but_a_prefix_stays():
    assert list(without_wrappers({"model.": torch.ones(1)}, [])) == ["model."]


def test_an_explicit_prefix_takes_what_lies_under_it():
    tensors = {**renamed("student."), "teacher.w": torch.ones(1)}
    assert list(without_prefix(tensors, "student.")) == NAMES
    assert list(without_prefix(tensors, "student")) == NAMES
    with pytest.raises(
        CheckpointError, match=r"no key begins with 'studnet\.' \(--strip-prefix\); did you mean 'student\.'"
    ):
        without_prefix(tensors, "studnet.")


def test_loading_fills_every_place():
    source, target = network(), network()
    for weight in source.parameters():
        nn.init.normal_(weight)
    assert load_strictly(target, source.state_dict(), "w.pth") == ()
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())


def test_batch_norm_counters_may_be_missing_and_that_is_noted():
    tensors = {key: value for key, value in network().state_dict().items() if "num_batches" not in key}
    assert load_strictly(network(), tensors, "w.pth") == (
        "w.pth has no batch-norm counters (num_batches_tracked), which evaluation does not use",
    )


def test_another_number_of_classes_is_said():
    with pytest.raises(CheckpointError) as raised:
        load_strictly(network(11), network(21).state_dict(), "w.pth")
    assert str(raised.value) == (
        "w.pth: 2 keys of another shape (decoder.weight is 21x8x1x1 in the file and 11x8x1x1 in the network, "
        "decoder.bias is 21 in the file and 11 in the network); "
        "the file has 21 classes and the network 11: build it for 21"
    )


def test_other_shapes_are_not_taken_for_classes():
    tensors = {**network().state_dict(), "encoder.0.weight": torch.zeros(8, 1, 3, 3), "decoder.bias": torch.tensor(1.0)}
    with pytest.raises(CheckpointError) as raised:
        load_strictly(network(), tensors, "w.pth")
    message = str(raised.value)
    assert "encoder.0.weight is 8x1x3x3 in the file and 8x3x3x3 in the network" in message
    assert "decoder.bias is a scalar in the file and 11 in the network" in message
    assert message.endswith("build the network as it was when the file was saved")


def test_missing_unexpected_and_misshaped_keys_are_listed_together():
    tensors = network(21).state_dict()
    del tensors["encoder.0.weight"]
    tensors |= {f"extra.{n}": torch.zeros(1) for n in range(1200)}
    with pytest.raises(CheckpointError) as raised:
        load_strictly(network(), tensors, "w.pth")
    message = str(raised.value)
    assert message.startswith(
        "w.pth: 1 key missing from the file (encoder.0.weight), 1 200 keys not in the network (extra.0, "
    )
    assert "extra.2 and 1 197 more), 2 keys of another shape (decoder.weight is 21x8x1x1" in message
    assert "\n" not in message


def test_a_prefix_that_would_fit_is_offered():
    with pytest.raises(CheckpointError, match=r"pass --strip-prefix student\.backbone\., with which all keys fit"):
        load_strictly(network(), renamed("student.backbone."), "w.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameters_must_be_finite(value):
    tensors = network().state_dict()
    tensors["decoder.weight"][3, 2] = value
    with pytest.raises(CheckpointError, match=r"w\.pth: decoder\.weight is NaN or infinite at 1 of 88 values"):
        load_strictly(network(), tensors, "w.pth")


def test_buffers_may_hold_infinities_but_no_nan():
    masked = nn.Module()
    masked.register_buffer("mask", torch.zeros(2))
    load_strictly(masked, {"mask": torch.tensor([0.0, float("-inf")])}, "w.pth")
    assert masked.mask.tolist() == [0.0, float("-inf")]
    with pytest.raises(CheckpointError, match="mask is NaN or infinite at 1 of 2 values"):
        load_strictly(masked, {"mask": torch.tensor([0.0, float("nan")])}, "w.pth")


def test_hooks_of_a_network_may_rename_its_older_keys():
    class Renamed(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix}w")
            super()._load_from_state_dict(state_dict, prefix, *args)

    target = Renamed(2, 1)
    load_strictly(target, {"w": torch.ones(1, 2), "bias": torch.zeros(1)}, "w.pth")
    assert target.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(CheckpointError, match=r"w\.pth does not fit the network: .*size mismatch for weight"):
        load_strictly(target, {"w": torch.ones(1, 5), "bias": torch.zeros(1)}, "w.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_lower_precision_are_widened(dtype):
    tensors = {
        key: value.to(dtype) if value.is_floating_point() else value for key, value in network().state_dict().items()
    }
    target = network()
    load_strictly(target, tensors, "w.pth")
    assert target.decoder.weight.dtype == torch.float32
    assert torch.equal(target.decoder.weight, tensors["decoder.weight"].float())
