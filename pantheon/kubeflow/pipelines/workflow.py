"""The workflow as a KFP v2 pipeline: one component for each stage of ``pantheon.workflow.graph.GRAPH``.

``python -m pantheon.kubeflow.pipelines.workflow`` compiles it to ``workflow.yaml``, which is what runs. Each step calls
the stage of the run that the parameter ``run`` names, in the run's folder; artifacts name its results for Kubeflow.
"""

# mypy: disable-error-code="no-untyped-def, valid-type, untyped-decorator, misc"
# KFP reads annotations of components in its own way, and copies the source of each into the compiled pipeline.

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kfp import compiler, dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

COMPILED = Path(__file__).with_name("workflow.yaml")
IMAGE = "pantheon/kubeflow:dev"  # of a step on a cluster; it contains kfp
step = partial(dsl.component, base_image=IMAGE, install_kfp_package=False)


@step
def begin(
    run: str,
    dataset: str,
    tier: str,
    seed: int,
    trials: int,
    folds: int,
    test_share: float,
    tuning_rows: int,
    time_limit: float,
    threads: int,
    approval: str,
    metric: str,
) -> str:
    from pantheon.kubeflow.pipelines.stage import begin

    begin(
        run,
        dataset,
        tier,
        seed=seed,
        trials=trials,
        folds=folds,
        test_share=test_share,
        tuning_rows=tuning_rows,
        time_limit=time_limit,
        threads=threads,
        approval=approval,
        metric=metric,
    )
    return run


@step
def load_data(run: str, raw: Output[Dataset]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("load_data", run, raw=raw)


@step
def clean_data(run: str, raw: Input[Dataset], clean: Output[Dataset]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("clean_data", run, clean=clean)


@step
def split_data(run: str, clean: Input[Dataset], train_rows: Output[Dataset], test_rows: Output[Dataset]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("split_data", run, train_rows=train_rows, test_rows=test_rows)


@step
def preprocess(run: str, train_rows: Input[Dataset], test_rows: Input[Dataset], matrix: Output[Dataset]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("preprocess", run, matrix=matrix)


@step
def feature_engineering(run: str, matrix: Input[Dataset], engineered: Output[Artifact]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("feature_engineering", run, engineered=engineered)


@step
def feature_selection(run: str, matrix: Input[Dataset], selected: Output[Artifact]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("feature_selection", run, selected=selected)


@step
def train(run: str, engineered: Input[Artifact], selected: Input[Artifact], candidates: Output[Artifact]) -> NamedTuple(
    "Trained", [("families", list[str])]
):
    from pantheon.kubeflow.pipelines.stage import families, stage

    stage("train", run, candidates=candidates)
    return (families(run),)


@step
def model_selection(run: str, candidates: Input[Artifact], selection: Output[Artifact]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("model_selection", run, selection=selection)


@step
def hyperparameter_tuning(run: str, candidates: Input[Artifact], tuning: Output[Artifact]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("hyperparameter_tuning", run, tuning=tuning)


@step
def candidate(
    run: str,
    family: str,
    selection: Input[Artifact],
    tuning: Input[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
):
    from pantheon.kubeflow.pipelines.stage import family as log_family

    log_family(run, family, metrics, report)


@step
def evaluate(run: str, selection: Input[Artifact], tuning: Input[Artifact], chosen: Output[Model]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("evaluate", run, chosen=chosen)


@step
def performance_metrics(run: str, chosen: Input[Model], metrics: Output[Metrics], report: Output[HTML]):
    from pantheon.kubeflow.pipelines.stage import performance, stage

    stage("performance_metrics", run)
    performance(run, metrics, report)


@step
def model_comparison(run: str, chosen: Input[Model], comparison: Output[Artifact]):
    from pantheon.kubeflow.pipelines.stage import stage

    stage("model_comparison", run, comparison=comparison)


@step
def gate(run: str, metrics: Input[Metrics], comparison: Input[Artifact]) -> NamedTuple(
    "Gate", [("decision", str), ("reason", str)]
):
    from pantheon.kubeflow.pipelines.stage import gate

    return gate(run)


@step
def deploy(run: str, chosen: Input[Model], model: Output[Model]) -> str:
    from pantheon.kubeflow.pipelines.stage import deploy

    return deploy(run, model)


@step
def refuse(run: str) -> str:
    from pantheon.kubeflow.pipelines.stage import refuse

    return refuse(run)


@step
def finish(run: str, status: dsl.PipelineTaskFinalStatus):
    from pantheon.kubeflow.pipelines.stage import finish

    finish(run, status.state, status.error_message or "")


def own(task: Any) -> Any:
    """Repeat a step once, and never take it from the cache: it changes the run's folder."""
    return task.set_retry(1, backoff_duration="1s").set_caching_options(False)


@dsl.pipeline(name="workflow", description="From data to a deployed model.")
def workflow(
    run: str,
    dataset: str = "robots",
    tier: str = "kraken",
    seed: int = 42,
    trials: int = 10,
    folds: int = 5,
    test_share: float = 0.2,
    tuning_rows: int = 100_000,
    time_limit: float = 3600.0,
    threads: int = 2,
    approval: str = "auto",
    metric: str = "",
):
    """All steps between ``begin``, which makes the run, and ``finish``, which runs at the end whatever happens.

    Args:
        run: the ID of the run to make, such as 20260131-142500-0a1b.
        dataset: the deployment's dataset.
        tier: recorded with the run.
        seed: with the others, see ``pantheon.workflow.run.Params``.
    """
    with dsl.ExitHandler(own(finish(run=run))):
        begun = own(
            begin(
                run=run,
                dataset=dataset,
                tier=tier,
                seed=seed,
                trials=trials,
                folds=folds,
                test_share=test_share,
                tuning_rows=tuning_rows,
                time_limit=time_limit,
                threads=threads,
                approval=approval,
                metric=metric,
            )
        ).output
        loaded = own(load_data(run=begun))
        cleaned = own(clean_data(run=begun, raw=loaded.outputs["raw"]))
        split = own(split_data(run=begun, clean=cleaned.outputs["clean"]))
        rows = own(
            preprocess(run=begun, train_rows=split.outputs["train_rows"], test_rows=split.outputs["test_rows"])
        ).outputs["matrix"]
        engineered = own(feature_engineering(run=begun, matrix=rows))
        selected = own(feature_selection(run=begun, matrix=rows))
        trained = own(
            train(run=begun, engineered=engineered.outputs["engineered"], selected=selected.outputs["selected"])
        )
        fitted = trained.outputs["candidates"]
        ranked = own(model_selection(run=begun, candidates=fitted)).outputs["selection"]
        tuned = own(hyperparameter_tuning(run=begun, candidates=fitted)).outputs["tuning"]
        with dsl.ParallelFor(trained.outputs["families"], name="families") as family:
            own(candidate(run=begun, family=family, selection=ranked, tuning=tuned))
        chosen = own(evaluate(run=begun, selection=ranked, tuning=tuned)).outputs["chosen"]
        measured = own(performance_metrics(run=begun, chosen=chosen))
        compared = own(model_comparison(run=begun, chosen=chosen))
        judged = own(gate(run=begun, metrics=measured.outputs["metrics"], comparison=compared.outputs["comparison"]))
        with dsl.If(judged.outputs["decision"] != "refused", name="passes"):
            own(deploy(run=begun, chosen=chosen))
        with dsl.Else(name="refused"):
            own(refuse(run=begun))


def compile_workflow(path: Path = COMPILED) -> None:
    """Write the compiled pipeline."""
    compiler.Compiler().compile(workflow, str(path))


if __name__ == "__main__":
    compile_workflow()
