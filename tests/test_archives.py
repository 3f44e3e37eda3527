"""Arrays of numpy come back from archives as they were; damage and excess are refused before anything is unpacked."""

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzzing.bombs import ARRAYS, built, zip_of_zeros

from segablate import archives, limits
from segablate.archives import DamagedArchive, damage_named, opened_zip, read_array, read_structure
from segablate.limits import TooLarge

ARRAYS_OF_ALL_KINDS = {
    "integers": np.arange(6).reshape(2, 3),
    "floats": np.asfortranarray(np.random.default_rng(0).random((3, 4))),
    "big-endian": np.arange(4, dtype=">i4"),
    "texts": np.array(["x", "äöü"]),
    "no texts": np.array([], dtype=str),
    "empty texts": np.array(["", ""]),
    "none": np.zeros((0, 3)),
    "one": np.array(5),
    "truths": np.array([True, False]),
}


def npz(compressed: bool = True, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def archive_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_as_they_were(compressed: bool) -> None:
    found = read_structure(npz(compressed, **ARRAYS_OF_ALL_KINDS))
    assert list(found) == list(ARRAYS_OF_ALL_KINDS)
    for name, array in ARRAYS_OF_ALL_KINDS.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
        "{'descr': 'x', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1" * 4000,
        "[1, 2]",
        "5",
        "(" * 5000,
        "os.getcwd()",
    ],
)
def test_headers_that_numpy_does_not_write(header: str) -> None:
    with pytest.raises(DamagedArchive):
        read_structure(archive_of(x=npy(header, bytes(4))))


def test_other_damage() -> None:
    whole = npz(x=np.arange(1000))
    for data in (b"", b"hello", whole[:-30], whole[:50] + whole[60:], archive_of(x=b"hello"), archive_of(x=b"")):
        with pytest.raises(DamagedArchive):
            read_structure(data)


def test_an_archive_that_unpacks_to_far_more_than_its_size() -> None:
    with pytest.raises(TooLarge, match="more than 64 times its size in memory"):
        read_structure(zip_of_zeros("x.npy"))
    with pytest.raises(TooLarge, match="its x take 2"), opened_zip(zip_of_zeros("x.npy", megabytes=2100)) as archive:
        read_array(archive, "x")


def test_an_array_that_states_another_size_than_it_has_is_not_allocated() -> None:
    for bomb in ARRAYS:
        with pytest.raises((DamagedArchive, TooLarge)):
            read_structure(archive_of(x=built(bomb)))


def test_a_large_directory_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = archive_of(**{f"x{number}": b"" for number in range(200)})
    monkeypatch.setattr(archives, "DIRECTORY_BYTES", 2000)
    (tmp_path / "x.npz").write_bytes(data)
    for place in (data, tmp_path / "x.npz"):
        with pytest.raises(TooLarge, match="its directory has more than 2 000 bytes"), opened_zip(place):
            pass
    monkeypatch.setattr(archives, "DIRECTORY_BYTES", limits.DIRECTORY_BYTES)
    with opened_zip(data) as archive:
        assert len(archive.namelist()) == 200


@pytest.mark.parametrize("end", ["device", "pipe"])
def test_what_has_no_end_is_not_read(end: str, tmp_path: Path) -> None:
    place = tmp_path / "x.npz"
    place.symlink_to("/dev/full") if end == "device" else os.mkfifo(place)
    with pytest.raises(DamagedArchive, match="is not a regular file; is the path right"), opened_zip(place):
        pass


def test_a_missing_file_is_named_as_missing(tmp_path: Path) -> None:
    missing = tmp_path / "x.npz"
    with pytest.raises(DamagedArchive, match=r"cannot be read \(no such file"), damage_named(), opened_zip(missing):
        pass
