"""Where the data that comes with the package lies."""

from pathlib import Path

from segablate.errors import DatasetError


def sample_data() -> Path:
    """The folder of the sample data: inside an installed package, beside it in a source tree."""
    package = Path(__file__).parents[1]
    for place in (package / "sample_data", package.parent / "sample_data"):
        if (place / "dataset.yaml").is_file():
            return place
    raise DatasetError(f"the sample data is not in {package} nor beside it; reinstall segablate")
