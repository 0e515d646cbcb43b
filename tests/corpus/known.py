"""What the models of the corpus break, by start and rule, each with its reason."""

ALL_SCALED = "its class token reads the image only through factors of 1e-6, as published"
FROZEN = "its pretrained tables and weights are frozen, and have std 0.02"
# Their forwards ask for values, so that a plan needs a batch.
NEED_EXAMPLE = ("xcit_nano_12_p16_224",)
PUBLISHED = {
    "cait_xxs24_224": {"quiet": ALL_SCALED},
    "tied by function": {"quiet": "a fault: the head is a table of std 1"},
}
AUTO = {
    "Nemotron": {"uniform": "its norms add one to a scale of one, which doubles the logits"},
    "DoRA": {"sizes": FROZEN},
    "LoRA of GPT-2": {"sizes": FROZEN},
    "eca_nfnet_l0": {"scaled": "its convolutions divide their weights by their std"},
    "cait_xxs24_224": {"quiet": ALL_SCALED, "sizes": ALL_SCALED},
    "IA3": {"scaled": "all its layers are frozen"},
}
