"""The front end: an application of its own that knows only the endpoint's HTTP API (docs/front-end.md)."""
