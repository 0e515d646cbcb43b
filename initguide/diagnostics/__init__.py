"""What a model does with one batch: statistics by layer, and verdicts in words."""
