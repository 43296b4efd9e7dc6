"""``compare``: measure every tier on every engine of this machine, and write a report about them.

A *cell* is one tier on one engine. ``cell`` measures one in a deployment of its own, ``work`` keeps the finished ones,
and ``writing`` writes the report as JSON, Markdown and a page. Nothing here lists tiers, engines or components.
"""
