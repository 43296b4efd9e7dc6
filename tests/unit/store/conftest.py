"""A small bundle to publish."""

from tests.support.stores import bundle

__all__ = ["bundle"]
