"""The compose model that every engine runs: resolved, checked, in start order."""
