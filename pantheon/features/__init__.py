"""The feature store: Feast, PostgreSQL, Valkey and Parquet parts, and how the workflow and the endpoint use them."""
