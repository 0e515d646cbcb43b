"""Facts about each layer of a model, read from a symbolic run of its forward pass."""
