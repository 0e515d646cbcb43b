"""Rules for a whole model, the plan that follows from them, and how it is carried out."""
