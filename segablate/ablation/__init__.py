"""One loss under several settings, on one forward pass of the network."""
