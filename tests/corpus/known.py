"""What the models of the corpus break, by start and rule, each with its reason."""

BRANCH_NORM = "the norm at the end of a branch divides by a small input, and so the gradient grows"
LAYER_SCALE = "LayerScale of 1e-6 or 1e-5: the signal goes around each branch"
INNER_BRANCH = "the attention of its middle block adds its own input, which is counted as a branch"
FROZEN = "its pretrained tables and weights are frozen, and have std 0.02"
NO_EXAMPLE = "its forward asks for values, so that its plan needs a batch"
PUBLISHED = {
    "Olmo2": {"quiet": BRANCH_NORM},
    "MPNet": {"quiet": "a table of relative positions is added in each layer's attention"},
    "ConvNeXt": {"quiet": LAYER_SCALE},
    "convnext_atto": {"quiet": LAYER_SCALE},
    "cait_xxs24_224": {"quiet": LAYER_SCALE},
    "AutoencoderKL": {"quiet": INNER_BRANCH},
    "xcit_nano_12_p16_224": {"looked_at": NO_EXAMPLE, "quiet": LAYER_SCALE},
    "tied by function": {"quiet": "a fault: the head is a table of std 1"},
}
AUTO = {
    "Nemotron": {"uniform": "its norms add one to a scale of one, which doubles the logits"},
    "AutoencoderKL": {"quiet": INNER_BRANCH},
    "xcit_nano_12_p16_224": {"initialized": NO_EXAMPLE},
    "DoRA": {"sizes": FROZEN},
    "LoRA of GPT-2": {"sizes": FROZEN},
    "eca_nfnet_l0": {"scaled": "its convolutions divide their weights by their std"},
    "cait_xxs24_224": {"quiet": LAYER_SCALE, "sizes": LAYER_SCALE},
    "IA3": {"scaled": "all its layers are frozen"},
}
