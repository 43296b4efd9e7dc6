"""Models built elsewhere: check them, create a bundle, publish it."""
