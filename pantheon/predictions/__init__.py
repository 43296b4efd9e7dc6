"""The prediction log: a record of every answer, from the endpoint's spool to Parquet files, and what users said.

``ids``, ``records``, ``frames`` and ``spool`` need only the standard library and msgspec: the endpoint imports them.
Everything else reads and writes Parquet with polars, in the workflow's environment.
"""
