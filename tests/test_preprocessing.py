"""Pixels become what the network's authors fed it: scale, mean, standard deviation, divisor, channel by channel."""

import numpy as np
import pytest
import torch

from segablate.checkpoints.preprocessing import Preprocessing

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize(("scale", "factor"), [("1/255", 1 / 255), ("1", 1.0)])
@pytest.mark.parametrize("divisor", [1.0, 255.0])
def test_pixels_are_scaled_channel_by_channel(channels: str, scale: str, factor: float, divisor: float) -> None:
    order = (0, 1, 2) if channels == "rgb" else (2, 1, 0)
    found = Preprocessing(channels, scale, MEAN, STD, divisor)(torch.from_numpy(IMAGES))
    assert found.dtype == torch.float32
    for place, source in enumerate(order):
        expected = (IMAGES[..., source] * factor - MEAN[place]) / STD[place] / divisor
        np.testing.assert_allclose(found[:, place].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_padding_is_zeros_of_the_network_to_the_right_and_below() -> None:
    plain = Preprocessing(mean=MEAN, std=STD)(torch.from_numpy(IMAGES))
    padded = Preprocessing(mean=MEAN, std=STD, pad_to_multiple=4)(torch.from_numpy(IMAGES))
    assert padded.shape == (2, 3, 8, 8)
    assert torch.equal(padded[..., :5, :7], plain)
    assert not padded[..., 5:, :].any()
    assert not padded[..., 7:].any()
