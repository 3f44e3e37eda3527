"""Histograms on a device: equal to those of bincount, however many columns the table has."""

import pytest
import torch

from segablate.kernels import tally

DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])


@DEVICES
@pytest.mark.parametrize("cells", [1, 64, 1 << 22])
@pytest.mark.parametrize("shape", [(1,), (1, 1), (7, 13), (2, 5, 30)], ids=str)
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64], ids=str)
def test_counts_and_sums(device, cells, shape, kind, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    places = torch.randint(0, 9, shape, generator=generator)
    values = torch.randint(-(2**24), 2**24, shape, generator=generator)
    expected = torch.bincount(places.flatten(), minlength=11)
    sums = torch.zeros(11, dtype=torch.int64).index_add(0, places.flatten(), values.flatten())
    monkeypatch.setattr(tally, "on_gpu", lambda tensor: True)
    monkeypatch.setattr(tally, "_CELLS", cells)
    found = tally.count(places.to(device, kind), 11)
    assert found.dtype == torch.int64
    assert torch.equal(found.cpu(), expected)
    for given in (values.float(), values.double()):
        total = tally.total(places.to(device, kind), 11, given.to(device))
        assert total.dtype == torch.float64
        assert torch.equal(total.cpu().long(), sums)


def test_the_host_counts_the_same():
    places = torch.tensor([[3, 0, 3]])
    assert tally.count(places, 5).tolist() == [1, 0, 0, 2, 0]
    assert tally.total(places, 5, torch.tensor([[0.5, 2.0, 1.0]])).tolist() == [2, 0, 0, 1.5, 0]


@pytest.mark.parametrize("size", [3, 256, 5000])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("pixels", [0, 1, 4095, 4096, 10_000])
def test_the_host_adds_to_several_tables(pixels, kind, size):
    generator = torch.Generator().manual_seed(2)
    places = torch.randint(0, min(size, 256), (pixels,), generator=generator).to(kind)
    values = torch.randint(-(2**24), 2**24, (pixels,), generator=generator)
    expected = torch.zeros(size, dtype=torch.int64).index_add(0, places.long(), values)
    found = tally.total(places, size, values.float())
    assert found.dtype == torch.float64
    assert torch.equal(found.long(), expected)


def test_sums_stay_exact_beyond_24_bits(monkeypatch):
    monkeypatch.setattr(tally, "on_gpu", lambda tensor: True)
    places = torch.zeros(1000, 100, dtype=torch.uint8)
    assert tally.total(places, 1, torch.full(places.shape, 2.0**24 - 1)).item() == 100_000 * (2**24 - 1)
