"""Old import path of ``pantheon.notebook.quick``, for users' edited copies of ``quick_preprocessing.ipynb``."""

from pantheon.notebook.quick import cleaned, columns, drift

__all__ = ["cleaned", "columns", "drift"]
