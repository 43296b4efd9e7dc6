"""Exercises of the tiers, which check themselves on the running deployment. docs/exercises.md describes their files."""
