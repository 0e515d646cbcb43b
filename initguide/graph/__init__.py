"""Where each layer stands in its network: found by running the model on symbols."""
