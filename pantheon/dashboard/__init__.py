"""The dashboard of the tier: runs, models, activity, and orders."""
