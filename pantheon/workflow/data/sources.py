"""Sources of rows: a file of the user, the generator, or a dataset of scikit-learn."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pantheon.errors import PantheonError
from pantheon.workflow.data.formats import nearest
from pantheon.workflow.data.generate import write_robots_csv
from pantheon.workflow.data.spec import Source
from pantheon.workflow.run import Run

GENERATORS = {"robots": write_robots_csv}
SKLEARN = ("breast_cancer", "wine", "diabetes")


@contextmanager
def located(source: Source, run: Run) -> Iterator[Path]:
    """Yield the file with the source's rows; a generated file is stored in the run's folder until the block ends.

    Raises:
        PantheonError: the generator or dataset does not exist.
    """
    if source.kind == "file":
        yield run.source(source.path)
        return
    with tempfile.TemporaryDirectory(prefix=".source-", dir=run.folder) as made:
        path = Path(made) / f"{source.name}.csv"
        if source.kind == "generator":
            if source.name not in GENERATORS:
                cure = nearest(source.name, list(GENERATORS)) or f"Available: {', '.join(GENERATORS)}."
                raise PantheonError(f"there is no generator {source.name!r}.", cure)
            GENERATORS[source.name](path, source.rows, source.seed)
        else:
            sklearn_table(source.name).write_csv(path)
        yield path


def sklearn_table(name: str) -> pl.DataFrame:
    """Return a dataset of scikit-learn, in the original units, with the target as its spec expects it."""
    import sklearn.datasets

    if name not in SKLEARN:
        cure = nearest(name, SKLEARN) or f"Available: {', '.join(SKLEARN)}."
        raise PantheonError(f"there is no dataset {name!r}.", cure)
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
    integers = [column for column in table.columns if (table[column] == table[column].round()).all()]
    return table.with_columns(pl.col(integers).cast(pl.Int64), target)
