"""``advise``: the smallest tier that meets given needs, why, what it costs, and what could be used instead."""
