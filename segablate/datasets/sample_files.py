"""Find the sample data of the package."""

from pathlib import Path

from segablate.errors import DatasetError


def sample_data() -> Path:
    """Return the folder of the sample data: in an installed package, or beside it in a source tree.

    Raises DatasetError when it is in neither.
    """
    package = Path(__file__).parents[1]
    for place in (package / "sample_data", package.parent / "sample_data"):
        if (place / "dataset.yaml").is_file():
            return place
    raise DatasetError(f"the sample data is neither in {package} nor beside it; reinstall segablate")
