"""In the environment ``evidently``: print Evidently's PSI of categories.

Reads {"reference": {category: rows}, "current": {category: rows}} from standard input; prints a number.
"""

import json
import sys

import pandas as pd
from evidently.legacy.calculations.stattests import psi_stat_test
from evidently.legacy.core import ColumnType

asked = json.load(sys.stdin)
reference, current = (
    pd.Series([name for name, rows in asked[each].items() for _ in range(rows)]) for each in ("reference", "current")
)
json.dump(float(psi_stat_test.func(reference, current, ColumnType.Categorical, 0.1)[0]), sys.stdout)
