"""Models built elsewhere: checked, made a bundle, published."""
