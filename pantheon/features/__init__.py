"""The feature store: Feast with PostgreSQL, Valkey and Parquet parts, and what the workflow and the endpoint say to it."""
