"""Draw the polygons, boxes and run lengths of annotation tools as label maps: ``segablate datasets convert``.

Each format is one file in ``segablate/datasets/formats/``.
"""

from segablate.datasets.conversion.converting import Converted, Written, convert

__all__ = ["Converted", "Written", "convert"]
