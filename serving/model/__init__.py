"""The deployed model: its signature, its predictions, and replacing it."""
