"""The stages of the workflow: one module per node of the graph."""
