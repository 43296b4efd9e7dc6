"""The workflow's own service: another program (a DAG of Airflow, a script) hands it a run, and it goes on with it."""
