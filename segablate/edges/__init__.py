"""Edge networks of SEMEDA, trained on the masks of a dataset in seconds.

Values of SEMEDA can be compared only under the same edge network; so each has a hash, which is printed with the value,
and is cached by the data and settings of its training.
"""

from segablate.edges.network import EdgeNetwork, Training
from segablate.edges.storage import edge_network_for, load_edge_network, save_edge_network
from segablate.edges.training import edge_labels, train_edge_network

__all__ = [
    "EdgeNetwork",
    "Training",
    "edge_labels",
    "edge_network_for",
    "load_edge_network",
    "save_edge_network",
    "train_edge_network",
]
