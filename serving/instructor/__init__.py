"""The page of a workshop's instructor: who is where, and which exercises are passed."""
