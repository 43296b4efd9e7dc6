"""HTTP client and server code shared by Pantheon's services."""
