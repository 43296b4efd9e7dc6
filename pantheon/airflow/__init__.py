"""Code that Airflow's services and DAGs import. Runs in Airflow's environment."""
