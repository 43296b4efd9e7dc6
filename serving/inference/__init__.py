"""The endpoint: many models behind the V1 and V2 protocols, with API keys, routing and a prediction log."""
