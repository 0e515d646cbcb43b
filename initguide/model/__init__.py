"""Rules for a whole model, the plan that follows from them, and its execution."""
