"""The one page of ``make help``."""

TEXT = """[bold]Pantheon[/]: nine ML-platform architectures, one ML workflow.

  [bold]make tier-NAME VERB[/]      for example: make tier-persephone up
  [bold]make tier-NAME[/]           the tier's story

[bold]Verbs[/]
  up        bring the tier up, or grow to it in place; runs the workflow once if no model is there
  run       train again, to a model that the gate lets through or not
  predict   ask the deployed model:  ROW='{"robot-age": 5, "rust-level": 9, "battery": "low"}'
  ask       what this architecture can answer, looked up live:  AT='10 minutes ago'
  status    services, addresses, memory, the model
  logs      what the services said:  SERVICE=button  FOLLOW=1
  runs      the runs so far
  approve   deploy the challenger (after APPROVAL=required);  hold NOTE='why' keeps it back
  models    the versions;  VERSION=3 all about one;  ALIAS=champion VERSION=3 deploys it
  rollback  serve the version before this one again, or VERSION=3;  more: bin/pantheon models --help
  down      stop the services; never deletes data
  destroy   stop and delete the deployment; asks, or CONFIRM=yes
  doctor    is this machine fit, and what to do about it
  test      a smoke test of the deployment that is up

[bold]Settings[/] (make tier-daedalus up DATA=churn.csv TARGET=churned)
  DATA=         robots (default), breast_cancer, wine, diabetes, or your CSV, Parquet or Excel file
  TARGET=       the column of your file to predict
  NAME=         the deployment (default pantheon); two can be up, with PORT_OFFSET=100
  ENGINE=       local or compose; without it the deployment's own, else compose where Docker answers, else local
  WITHOUT=      leave components out: WITHOUT=airflow; WITHOUT=none takes them back
  SCHEDULE=     when Airflow starts a run by itself: SCHEDULE='0 3 * * *', @daily, off (default)
  APPROVAL=     auto (default) or required: a person approves
  TRIALS= SEED= of the search;  RUN=0 starts without a first run;  JSON=1 prints JSON

[bold]Images[/] (for ENGINE=compose; `up` builds what it needs)
  make images        build them;  make images-save FILE=images.tar.gz, images-load FILE=…  carry them

[bold]For its developers[/]
  make check    lint, types, fast tests
  make test     every test
  make bench    the figures, measured here
  make lock     lock requirements/*.in anew

[bold]Tiers[/]: [bold]make tier-NAME[/] for each; bin/pantheon tier lists them. Without make: bin/pantheon --help"""
