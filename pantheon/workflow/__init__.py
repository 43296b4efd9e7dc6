"""The ML job: dataset, stages, graph, model bundle. Knows nothing of tiers, engines or HTTP."""
