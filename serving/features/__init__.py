"""Features of entities: read from Valkey in Feast's own format, joined with what a request brings, and pushed."""
