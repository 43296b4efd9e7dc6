"""Monitoring: what the prediction log says about a model, one window of time after another.

``report`` has the types of a report, and keeps reports beside the log: it needs only msgspec. ``monitor`` makes one, in
the environment ``monitoring``, which has polars, scipy and fairlearn.
"""
