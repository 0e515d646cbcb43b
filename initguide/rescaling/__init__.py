"""Scale layers while a model runs: what LSUV measures, solves and writes."""
