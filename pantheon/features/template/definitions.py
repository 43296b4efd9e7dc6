"""Your own definitions: entities, sources, views and services. `feast apply` registers what is in this folder.

Runs of the workflow register theirs by themselves: see `feast feature-views list`. `feast apply` never removes what
this folder does not define, so each team defines its own. To remove something: `feast delete NAME`.

    from datetime import timedelta
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64

    machine = Entity(name="machine", join_keys=["machine_id"], value_type=ValueType.STRING)
    readings = FileSource(name="readings", path="readings.parquet", timestamp_field="event_timestamp")
    temperature = FeatureView(
        name="temperature",
        entities=[machine],
        ttl=timedelta(days=1),
        schema=[Field(name="celsius", dtype=Float64)],
        source=readings,
    )
"""

from feast import Project

project = Project(name="pantheon", description="The features of this deployment.")
