"""What the models of the corpus break, by start and rule, each with its reason."""

BRANCH_NORM = "the norm at the end of a branch divides by a small input, and so the gradient grows"
PUBLISHED = {
    "Olmo2": {"quiet": BRANCH_NORM},
    "MPNet": {"quiet": "a table of relative positions is added in each layer's attention"},
    "ConvNeXt": {"quiet": "LayerScale of 1e-6: the signal goes around each branch"},
}
AUTO = {
    "Nemotron": {"uniform": "its norms add one to a scale of one, which doubles the logits"},
}
