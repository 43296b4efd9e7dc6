"""Which version of a model answers a request: policies, the choice for one request, the bandit, and the test between
champion and challenger."""
