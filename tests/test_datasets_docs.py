"""The page on datasets names what there is."""

from pathlib import Path

from segablate.datasets import dataset_layouts

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "your-data.md").read_text(encoding="utf-8")


def test_every_layout_has_a_command() -> None:
    for layout in dataset_layouts():
        assert f"{layout}:/data" in PAGE or f" {layout}`" in PAGE, layout
