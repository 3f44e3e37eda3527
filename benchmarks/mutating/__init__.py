"""What the mutation run is made of: changes to sources, the parts and their tests, and trials in forked processes."""
