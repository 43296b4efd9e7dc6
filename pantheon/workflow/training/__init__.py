"""Training: candidates, folds, metrics and the gate."""
