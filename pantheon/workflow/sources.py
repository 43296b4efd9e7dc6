"""Where rows come from: a file of the user's, the generator, or a data set of scikit-learn's."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.generate import write_robots_csv
from pantheon.workflow.readers import nearest
from pantheon.workflow.run import Run
from pantheon.workflow.spec import Source

GENERATORS = {"robots": write_robots_csv}
SKLEARN = ("breast_cancer", "wine", "diabetes")


@contextmanager
def located(source: Source, run: Run) -> Iterator[Path]:
    """The file with the source's rows; one that has to be made first lies in the run's folder, until the block ends.

    Raises:
        PantheonError: there is no such generator or data set.
    """
    if source.kind == "file":
        yield run.source(source.path)
        return
    with tempfile.TemporaryDirectory(prefix=".source-", dir=run.folder) as made:
        path = Path(made) / f"{source.name}.csv"
        if source.kind == "generator":
            if source.name not in GENERATORS:
                cure = nearest(source.name, list(GENERATORS)) or f"Known: {', '.join(GENERATORS)}."
                raise PantheonError(f"there is no generator {source.name!r}.", cure)
            GENERATORS[source.name](path, source.rows, source.seed)
        else:
            sklearn_table(source.name).write_csv(path)
        yield path


def sklearn_table(name: str) -> pl.DataFrame:
    """One of scikit-learn's data sets, in the units that were measured, the target as its spec has it."""
    import sklearn.datasets

    if name not in SKLEARN:
        cure = nearest(name, SKLEARN) or f"Known: {', '.join(SKLEARN)}."
        raise PantheonError(f"there is no data set {name!r}.", cure)
    if name == "diabetes":
        bunch = sklearn.datasets.load_diabetes(scaled=False)
        target = pl.Series("progression", bunch.target)
    elif name == "wine":
        bunch = sklearn.datasets.load_wine()
        target = pl.Series("cultivar", bunch.target)
    else:
        bunch = sklearn.datasets.load_breast_cancer()
        target = pl.Series("diagnosis", bunch.target_names[bunch.target].tolist())
    table = pl.DataFrame(bunch.data, schema=[str(column) for column in bunch.feature_names], orient="row")
    whole = [column for column in table.columns if (table[column] == table[column].round()).all()]
    return table.with_columns(pl.col(whole).cast(pl.Int64), target)
