"""Recipes: initializations of whole models as lists of rules; `registry.RECIPES` has them all."""
