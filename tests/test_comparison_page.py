"""The page of a comparison claims no more than the intervals do, and says what else has to be known."""

from dataclasses import replace

import numpy as np
import pytest
from evaluations import TOLERANCES, evaluation, noisy, truth

from segablate.comparison import Comparison, Method, compare
from segablate.evaluation.results import Evaluation
from segablate.render import FORMATS, render
from segablate.tables import Report, Table
from segablate.tables.comparison import comparison_report, verdict

MAPS = truth(12)
METHOD = Method(tolerances=TOLERANCES, replicates=400)


def runs(*shares: float) -> dict[str, Evaluation]:
    """Runs that are wrong on these shares of pixels."""
    return {
        f"r{i}": evaluation(MAPS, noisy(MAPS, share, i), f"net{i}", {"ce": [share * (1 + k % 3) for k in range(12)]})
        for i, share in enumerate(shares)
    }


def page(given: dict[str, Evaluation], method: Method = METHOD) -> Report:
    return comparison_report(compare(given, method), given)


def table(report: Report, name: str) -> Table:
    return next(table for table in report.tables if table.name == name)


def with_miou(found: Comparison, p: float, value: float, settle: float = 500.0) -> Comparison:
    """The comparison, had the difference of mIoU come out like this."""
    pair = found.pairs[0]
    change = replace(pair.measures["miou"].change, value=np.float64(value))
    miou = replace(pair.measures["miou"], change=change, p=np.float64(p))
    changed = replace(
        pair,
        measures={**pair.measures, "miou": miou},
        detectable={"miou": 0.0123},
        images_needed={"miou": settle},
    )
    return replace(found, pairs=(changed,))


def test_a_difference_is_claimed_only_below_five_percent() -> None:
    found = compare(runs(0.2, 0.4), METHOD)
    low, high = (100 * float(end) for end in vars(found.pairs[0].measures["miou"].change.percentile).values())
    interval = f"95 % CI {low:+.2f} to {high:+.2f}".replace("-", "−")
    assert verdict(with_miou(found, 0.049, 0.012)) == (
        f"B is better than A in mIoU: B − A = +1.20 points ({interval}, p = 0.049)"
    )
    assert verdict(with_miou(found, 0.0001, -0.012)) == (
        f"A is better than B in mIoU: B − A = −1.20 points ({interval}, p < 0.001)"
    )
    assert verdict(with_miou(found, 0.05, -0.012)) == (
        f"No significant difference in mIoU: B − A = −1.20 points ({interval}, p = 0.050). 12 images can detect 1.2 "
        f"points (80 % power); 1.2 points would need about 500."
    )


@pytest.mark.parametrize("settle", [np.inf, np.nan, 1e7])
def test_a_number_of_images_that_says_nothing_is_left_out(settle: float) -> None:
    found = compare(runs(0.2, 0.4), METHOD)
    assert verdict(with_miou(found, 0.9, 0.0001, settle)).endswith("12 images can detect 1.2 points (80 % power).")


def test_the_verdict_on_equals_and_on_few_images() -> None:
    same = runs(0.2)
    assert verdict(compare({**same, "again": same["r0"], "third": same["r0"]}, METHOD)) == (
        "A, B and C have the same confusion counts on every image"
    )
    few = {name: evaluation(MAPS[:4], noisy(MAPS[:4], share, 1)) for name, share in (("a", 0.2), ("b", 0.4))}
    too_few = "points; 4 images are too few for a confidence interval (at least 5)"
    assert verdict(compare(few, METHOD)).endswith(too_few)
    few["c"] = few["b"]
    assert verdict(compare(few, METHOD)).endswith(too_few.replace("points", "%"))


def test_the_verdict_on_three_names_those_it_cannot_tell_apart() -> None:
    given = runs(0.2, 0.2, 0.5)
    found = compare(given, METHOD)
    best = int(np.argmax(found.values["miou"]))
    other = {0: "B", 1: "A"}[best]
    assert float(found.pairs[0].measures["miou"].p) > 0.05
    assert verdict(found) == (
        f"{'AB'[best]} has the highest mIoU, {100 * found.values['miou'][best]:.2f} %; it is significantly better "
        f"than C but not significantly better than {other} (p < 0.05, Holm over all pairs)"
    )


def test_the_verdict_joins_those_that_are_not_worse_by_or() -> None:
    alike = compare(runs(0.2, 0.2, 0.2), METHOD)
    best = int(np.argmax(alike.values["miou"]))
    first, second = (letter for letter in "ABC" if letter != "ABC"[best])
    assert f"it is not significantly better than {first} or {second} (p" in verdict(alike)


def test_significant_classes_come_above_the_rule_by_their_gain() -> None:
    given = runs(0.3, 0.3)
    better = [np.where(m == 1, 1, p).astype(np.uint8) for m, p in zip(MAPS, noisy(MAPS, 0.3, 0), strict=True)]
    found = table(page({"r0": given["r0"], "r1": evaluation(MAPS, better)}), "classes")
    assert found.rows[0]["class"] == "car"
    shown = [row["shown_b"] for row in found.rows]
    assert shown == sorted(shown, reverse=True)
    assert found.sections == ((shown.count("B better"),) if "" in shown else ())


def test_less_is_better_for_losses() -> None:
    report = page(runs(0.2, 0.4))
    (row,) = table(report, "losses").rows
    assert (row["measure"], row["shown"], row["images"]) == ("ce", "A better", 12)
    assert {row["choice"] for row in table(report, "choices").rows} == {"A"}
    assert "All measures agree." in table(report, "choices").notes


def test_what_differs_between_the_runs_is_shown() -> None:
    given = runs(0.2, 0.4)
    facts = {row["fact"]: (row["a"], row["b"]) for row in table(page(given), "facts").rows}
    assert facts == {"preprocessing": ("of net0", "of net1")}
    alike = {name: replace(run, facts=given["r0"].facts) for name, run in given.items()}
    report = page(alike)
    assert "facts" not in [table.name for table in report.tables]
    assert ("preprocessing", "of net0") in report.facts


def test_notes_say_what_was_left_out_and_whose_a_note_is() -> None:
    given = runs(0.2, 0.4)
    given["r1"] = replace(given["r1"], values={"rmi": given["r1"].values["ce"]}, boundary=None, notes=("own", "a note"))
    notes = page(given).notes
    assert "left out, not in every run: ce, rmi, boundary F" in notes
    assert "B: own" in notes
    assert notes.count("a note") == 1
    assert "A: 1 image skipped (i99)" in notes


def test_too_few_images_have_no_notes_on_intervals_and_p() -> None:
    few = page({name: evaluation(MAPS[:4], noisy(MAPS[:4], share, 1)) for name, share in (("a", 0.2), ("b", 0.4))})
    assert not table(few, "classes").notes
    assert not [note for note in few.notes if "bootstrap" in note]
    assert any(note.startswith("95 % CI and p: ") for note in page(runs(0.2, 0.4)).notes)
    assert table(page(runs(0.2, 0.4)), "classes").notes


def test_classes_in_few_images_are_named() -> None:
    maps = [np.where(m == 2, 0, m).astype(np.uint8) if i > 3 else m for i, m in enumerate(MAPS)]
    given = {name: evaluation(maps, [np.where(m == 255, 0, m) for m in maps]) for name in "ab"}
    assert "no 95 % CI and p for classes labelled in fewer than 5 images: tree" in page(given).notes


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("count", [2, 3])
def test_every_format_writes_it(format: str, count: int) -> None:
    text = render(page(runs(0.2, 0.4, 0.5)), format) if count == 3 else render(page(runs(0.2, 0.4)), format)  # type: ignore[arg-type]
    assert "road" in text
    assert "nan" not in text
