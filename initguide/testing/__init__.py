"""Judge a reader's own initializer: is it like the method that it is meant to be?"""
