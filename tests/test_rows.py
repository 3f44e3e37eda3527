"""Packed rows are the rows: unpacked, joined, selected and summed; what is saved of them is what numpy would save."""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from evaluations import TOLERANCES, evaluation, noisy, truth

from segablate.evaluation.joining import joined
from segablate.evaluation.results import Evaluation, arrays_of, evaluation_files, select, to_arrays
from segablate.evaluation.runs import npz
from segablate.metrics import rows
from segablate.metrics.boundary import boundary_sums
from segablate.metrics.confusion import class_counts
from segablate.metrics.conventions.rules import within_classes
from segablate.metrics.conventions.voids import void_as_class
from segablate.metrics.rows import Columns, PackedRows, in_blocks, joined_rows, packed, rows_near, rows_of

PARTS = ([0, 1, 2], [3], [4, 5, 6, 7])


@pytest.fixture
def plain() -> Evaluation:
    maps = truth(8)
    return evaluation(maps, noisy(maps, 0.3, 1))


@pytest.fixture
def whole(plain: Evaluation) -> Evaluation:
    return joined([select(plain, part) for part in PARTS])


def table(images: list[int], pixels: list[int]) -> dict[str, np.ndarray]:
    label = np.arange(len(images)) % 3
    return {"image": np.array(images, np.int32), "label": label.astype(np.uint8), "pixels": np.array(pixels, np.int32)}


def assert_same(found: Columns, expected: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, column in expected.items():
        assert found[name].dtype == column.dtype
        assert found[name].tolist() == column.tolist()


@pytest.mark.parametrize("largest", [1, 255, 256, 65_535, 65_536, 2**31 - 1])
def test_packed_columns_have_their_values_and_types(largest: int) -> None:
    columns = table([0, 0, 300, 70_000], [largest, 0, 7, largest])
    assert_same(packed(columns, 70_001), columns)


def test_joined_rows_count_their_images_on() -> None:
    first, second, third = table([0, 2], [5, 6]), table([], []), table([0, 1, 1], [1, 2, 3])
    found = joined_rows([(packed(first, 3), 3), (packed(second, 2), 2), (packed(third, 2), 2)])
    again = joined_rows([(found, 7), (packed(first, 3), 3)])
    assert found["image"].tolist() == [0, 2, 5, 6, 6]
    assert again["image"].tolist() == [0, 2, 5, 6, 6, 7, 9]
    assert again["pixels"].tolist() == [5, 6, 1, 2, 3, 5, 6]


def test_blocks_are_all_rows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_ROWS", 2)
    one, other = table([0, 0, 1, 2, 2], [1, 2, 3, 4, 5]), table([0, 1], [6, 7])
    found = [block["pixels"].tolist() for block in in_blocks(joined_rows([(packed(one, 3), 3), (packed(other, 2), 2)]))]
    assert found == [[1, 2], [3, 4], [5], [6, 7]]
    assert [block["pixels"].tolist() for block in in_blocks(one)] == found[:3]


def test_only_the_parts_of_the_images_asked_for_are_unpacked() -> None:
    one, other = table([0, 0, 1, 2, 2], [1, 2, 3, 4, 5]), table([0, 1], [6, 7])
    both = joined_rows([(packed(one, 3), 3), (packed(other, 2), 2)])
    assert rows_near(both, [3])["pixels"].tolist() == [6, 7]
    assert rows_near(both, [2])["pixels"].tolist() == [1, 2, 3, 4, 5]
    assert rows_of(both, [4, 0])["pixels"].tolist() == [7, 1, 2]
    assert rows_of(both, [4, 0])["image"].tolist() == [0, 1, 1]
    assert rows_of(both, [])["pixels"].tolist() == []


def test_a_joined_evaluation_stays_packed_and_is_the_whole(plain: Evaluation, whole: Evaluation) -> None:
    assert whole.boundary is not None
    assert isinstance(whole.confusion.rows, PackedRows)
    assert isinstance(whole.boundary.rows, PackedRows)
    for (name, found), (expected_name, expected) in zip(arrays_of(whole), arrays_of(plain), strict=True):
        assert name == expected_name
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    assert select(whole, range(8)) is whole  # in order already: nothing is unpacked or copied


def test_images_of_a_joined_evaluation_are_selected_in_any_order(plain: Evaluation, whole: Evaluation) -> None:
    order = [6, 0, 3, 7, 1]
    found, expected = to_arrays(select(whole, order)), to_arrays(select(plain, order))
    assert all(np.array_equal(found[name], array) for name, array in expected.items())
    for image in range(8):
        assert np.array_equal(whole.confusion.dense(image), plain.confusion.dense(image))


@pytest.mark.parametrize("count", [class_counts, within_classes, void_as_class])
def test_sums_of_packed_rows(plain: Evaluation, whole: Evaluation, count, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [plain.confusion.dense(image) for image in range(8)]
    monkeypatch.setattr(rows, "_ROWS", 5)
    found = count(whole.confusion)
    classes = found.hits.shape[1]
    assert np.array_equal(found.hits, [np.diag(table)[:classes] for table in tables])
    counted = {class_counts: np.s_[:-1, :], within_classes: np.s_[:-1, :-1], void_as_class: np.s_[:, :]}[count]
    assert np.array_equal(found.labelled, [table[counted].sum(axis=1)[:classes] for table in tables])
    assert np.array_equal(found.predicted, [table[counted].sum(axis=0)[:classes] for table in tables])
    assert np.array_equal(whole.confusion.total(), np.sum(tables, axis=0))


def test_boundary_sums_of_packed_rows(plain: Evaluation, whole: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain.boundary is not None
    assert whole.boundary is not None
    for tolerance in TOLERANCES:
        expected = np.stack(boundary_sums(plain.boundary, tolerance))
        with monkeypatch.context() as patched:
            patched.setattr(rows, "_ROWS", 5)
            assert np.array_equal(np.stack(boundary_sums(whole.boundary, tolerance)), expected)


def test_the_other_encoding_is_packed_too(plain: Evaluation) -> None:
    both = replace(plain, alternative=plain.confusion)
    found = joined([select(both, part) for part in PARTS]).alternative
    assert found is not None
    assert np.array_equal(found.total(), plain.confusion.total())


def test_saved_counts_are_those_of_numpy(whole: Evaluation) -> None:
    buffer = BytesIO()
    np.savez_compressed(buffer, **to_arrays(whole))  # type: ignore[arg-type]
    assert evaluation_files(whole, "{}")["counts.npz"] == npz(arrays_of(whole)) == buffer.getvalue()
