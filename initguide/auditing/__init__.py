"""What a model's parameters hold, against what its recipe means them to hold."""
