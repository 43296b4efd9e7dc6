"""The model store in S3."""
