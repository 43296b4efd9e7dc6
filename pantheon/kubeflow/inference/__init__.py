"""InferenceServices of KServe: which versions of a model answer, by the routing policy of the endpoint."""
