"""The text of ``make help``."""

TEXT = """[bold]Pantheon[/]: nine ML-platform architectures, one ML workflow.

  [bold]make tier-NAME VERB[/]      for example: make tier-persephone up
  [bold]make tier-NAME[/]           describe the tier; verbs other than up need the deployment's current tier
  [bold]make advise[/]              ask what you need, and name the smallest tier for it:  NEEDS='schedule notebooks'
                            PAGE=advise.html writes a page that does the same, without a network

[bold]Verbs[/]
  up        start the tier, or upgrade to it in place; runs the workflow once if no model exists yet
  run       train a new model; the gate accepts or rejects it
  predict   get a prediction:  ROW='{"robot-age": 5, "rust-level": 9, "battery": "low"}'
            of every row of a file: bin/pantheon predict-file IN OUT
  ask       show which questions this architecture can answer, live:  AT='10 minutes ago' ENTITY=robot-id=7
  monitor   report what the log of predictions says about the models:  WINDOW=7d (from epimetheus on)
  exercise  list the tier's exercises;  N=2 shows one and checks it, HINT=1 SOLUTION=1 help
  status    show services, addresses, memory and the model
  logs      show the services' logs:  SERVICE=button  FOLLOW=1
  runs      list the runs
  approve   deploy the challenger (with APPROVAL=required);  hold NOTE='why' rejects it
  models    list the versions;  VERSION=3 shows one;  ALIAS=champion VERSION=3 deploys it
  rollback  serve the previous version again, or VERSION=3;  more: bin/pantheon models --help
            for the endpoint: bin/pantheon keys, route, predictions, feedback, forget, alerts --help
            for the feature store: bin/pantheon features --help (from hephaestus on)
  down      stop the services; never deletes data
  destroy   stop and delete the deployment; asks first, unless CONFIRM=yes
  backup    write the deployment to a file while it runs:  FILE=backup.zip  BASE=earlier.zip (docs/backup.md)
  restore   make a deployment from it:  FILE=backup.zip  NAME=copy PORT_OFFSET=100 ENGINE=local
  bundle    write all packages of the tier to a file, for a machine without a network:  FILE=pantheon.tar
  doctor    check whether this machine meets the requirements
  test      run a smoke test against the running deployment

[bold]Settings[/] (make tier-daedalus up DATA=churn.csv TARGET=churned)
  DATA=         robots (default), breast_cancer, wine, diabetes, or your CSV, Parquet or Excel file
  TARGET=       the column of your file to predict;  IGNORE= columns to leave out, HEADER=none, for run
  NAME=         the deployment (default pantheon); a second one can run with PORT_OFFSET=100
  ENGINE=       local, compose, or helm (Kubernetes); default: the deployment's, else compose if Docker runs, else local
  WITHOUT=      leave components out: WITHOUT=airflow; WITHOUT=none includes all of them
  SCHEDULE=     the schedule of Airflow's runs: SCHEDULE='0 3 * * *', @daily, off (default)
  MONITOR=      when Airflow runs the monitor: hourly, daily, a cron expression, off (default);  LOG= RETRAIN=
  MATERIALIZE=  when Airflow brings features online: hourly, daily, a cron expression, off (default)
  APPROVAL=     auto (default), or required: a person approves new models
  METRIC=       what models are chosen and judged by: mae, rmsle, pr_auc …;  FOLDS= cross-validation folds
  TRIALS= SEED= tuning trials and random seed;  RUN=0 skips the first run;  JSON=1 prints JSON

[bold]Compare[/]
  make compare       measure every tier on this machine, and write a report:  TIERS=zeus,nemesis ENGINES=local
                     an interrupted comparison continues; FRESH=1 measures again; AGAINST=report.json shows
                     what changed; KILLS=all kills every service in every tier that has it

[bold]Teach[/]
  make workshop      a deployment for each person on this machine:  PEOPLE=20 TIER=zeus  MEMORY=2g CPUS=1
                     make workshop-status, workshop-reset PERSON=3, workshop-down

[bold]Images[/] (`up` builds what it needs)
  make images        build them;  REGISTRY=registry.example.com/team pushes them, too
  make images-save FILE=images.tar.gz, images-load FILE=…   move them to another machine; with ENGINE=helm to a cluster

[bold]For developers[/]
  make check    run the linter, the type checker and the fast tests
  make test     run the tests;  make test-all  also those in containers
  make bench    run the benchmarks on this machine
  make lock     lock requirements/*.in again

[bold]Tiers[/]: bin/pantheon tier lists them, make tier-NAME describes one. Without make: bin/pantheon --help"""
