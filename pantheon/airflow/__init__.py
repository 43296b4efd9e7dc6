"""What Airflow's services and DAGs need of ours, in Airflow's environment: the standard library and psycopg2 alone."""
