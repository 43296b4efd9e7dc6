"""What the button asks of other services, from epimetheus on: predictions of the endpoint, and the log."""
