"""Read images and label maps: headers before pixels, and nothing that decoders would fill in, cut or turn unasked.

:mod:`~segablate.images.header` reads what a file states about its pixels, :mod:`~segablate.images.pictures` decodes
images and :mod:`~segablate.images.label_maps` label maps, of which :mod:`~segablate.images.arrays` reads those in
arrays.
"""
