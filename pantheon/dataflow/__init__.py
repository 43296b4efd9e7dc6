"""The dataflow service: continues runs for other programs, such as an Airflow DAG or a script."""
