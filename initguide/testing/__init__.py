"""Check an initializer of your own: does it draw what its method draws?"""
