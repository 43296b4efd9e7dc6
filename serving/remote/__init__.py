"""What the button asks of other services, from epimetheus on."""
