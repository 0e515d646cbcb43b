"""Initializers of whole layers: convolutions, recurrent layers, packed gates, output biases."""
