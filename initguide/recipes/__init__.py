"""Published initializations of whole models, as rules; `registry.RECIPES` lists them by name."""
