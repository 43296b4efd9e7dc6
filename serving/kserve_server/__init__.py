"""KServe's ModelServer with the models of the store (VARIANT=kserve). Runs in the environment ``kserve``."""
