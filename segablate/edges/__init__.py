"""Edge networks: what SEMEDA compares probabilities and labels with, trained on the masks of a dataset in seconds.

A value of SEMEDA means something only beside the network that it was measured with; so each carries a hash, which is
printed with the value, and is kept by what it was trained on.
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
