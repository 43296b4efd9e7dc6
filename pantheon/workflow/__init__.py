"""The ML workflow: dataset, stages, graph, model bundle. Independent of tiers, engines and HTTP."""
