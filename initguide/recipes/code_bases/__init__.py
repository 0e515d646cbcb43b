"""The starts of published code bases, as records: which role gets which distribution."""
