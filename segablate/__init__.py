"""segablate: evaluate, compare and ablate semantic-segmentation checkpoints and losses.

The command line is the program (``segablate --help``); the pieces are importable one by one::

    from segablate.losses import get_loss
    from segablate.datasets import open_dataset
    from segablate.checkpoints import open_checkpoint
    from segablate.evaluation.loop import evaluate

Nothing is imported here, so that ``segablate --help`` does not wait for torch.
"""

__version__ = "0.1.0"
