# Every goal calls the `pantheon` command. `make help` lists the goals.
# On the command line: make tier-zeus up NAME=demo PORT_OFFSET=100. In the environment the same settings are called PANTHEON_NAME,
# PANTHEON_PORT_OFFSET … (other programs use the bare names: WSL, for example, sets NAME).

SHELL := /bin/sh
.NOTPARALLEL:
.DEFAULT_GOAL := help

SETTINGS := NAME ENGINE DATA TARGET VARIANT WITHOUT SCHEDULE PORT_OFFSET RUN APPROVAL ROW SERVICE FOLLOW CONFIRM JSON TRIALS SEED FOLDS METRIC IGNORE HEADER INFER DATASET NOTE FILE CA S3_ENDPOINT_URL S3_BUCKET LOG PREDICTIONS_KEEP MONITOR MONITOR_REPORT MATERIALIZE RETRAIN REGISTRY REGISTRY_IN_CLUSTER KUBECONTEXT VALUES ALERT_WEBHOOK SINCE UNTIL WINDOW AT REQUEST ENTITY VERSION ALIAS MODEL TIERS ENGINES AGAINST KILLS FRESH NEEDS PAGE BASE SECRETS PASSPHRASE_FILE START N HINT SOLUTION PEOPLE TIER PERSON MEMORY CPUS PYTHON
# $(value) and not $(NAME): quotes and dollar signs in a value must survive make.
# PANTHEON_TIERS is something else: folders with more tiers (docs/components.md).
CALLED_TIERS := COMPARE_TIERS
$(foreach s,$(SETTINGS),$(if $(filter command%,$(origin $s)),$(eval override export PANTHEON_$(or $(CALLED_$s),$s) := $$(value $s))))

TIER_GOALS := $(filter tier-%,$(MAKECMDGOALS))
TIER := $(patsubst tier-%,%,$(firstword $(TIER_GOALS)))
VERBS := up run predict ask monitor exercise status logs down destroy doctor runs approve hold images images-save images-load bundle prepare
DONE := $(filter $(VERBS) workshop models rollback backup restore test upgrade-check,$(MAKECMDGOALS))

.PHONY: help advise compare workshop workshop-status workshop-reset workshop-down test test-all check bench upgrade-check lock format models rollback backup restore $(VERBS) $(TIER_GOALS)

help:
	@bin/pantheon help

# Name the smallest tier that meets NEEDS='schedule notebooks'; without it, ask. PAGE=advise.html writes a page that does.
advise:
	@bin/pantheon advise

# `make tier-zeus up`: the goal tier-zeus selects the tier, the verb does the work. Without a verb, describe the tier.
ifneq ($(TIER_GOALS),)
$(TIER_GOALS):
	@$(if $(filter-out 1,$(words $(TIER_GOALS))),echo "One tier at a time: $(TIER_GOALS)." >&2; exit 2,$(if $(DONE),:,bin/pantheon tier "$(TIER)"))
endif

$(VERBS):
	@bin/pantheon $@ $(TIER)

# List the models; with VERSION= show that version; with ALIAS=champion as well, promote it.
models:
	@bin/pantheon models $(if $(PANTHEON_VERSION),$(if $(PANTHEON_ALIAS),promote,show),list) $(if $(TIER),--tier $(TIER))

rollback:
	@bin/pantheon models rollback $(if $(TIER),--tier $(TIER))

# Measure the tiers beside each other and write a report; see docs/comparing.md.
compare:
	@bin/pantheon compare

# Deployments for PEOPLE=20 at TIER=zeus on this machine; see docs/workshop.md.
workshop:
	@bin/pantheon workshop up$(if $(TIER_GOALS), --tier "$(TIER)")

workshop-status workshop-down:
	@bin/pantheon $(subst -, ,$@)

# Set PERSON=3 back to the beginning.
workshop-reset:
	@bin/pantheon workshop reset

# Write the deployment to FILE=, or make one from it.
backup restore:
	@bin/pantheon $@ $(if $(TIER),--tier $(TIER))

# Run the unit tests, the tests of parts and one upgrade through all tiers; with a tier (`make tier-zeus test`), a smoke test of the running deployment.
test:
	@$(if $(TIER),bin/pantheon test $(TIER),bin/dev test)

# Run every test, including those in containers.
test-all:
	@bin/dev test-all

check:
	@bin/dev check

bench:
	@bin/dev bench

# Does a deployment of the oldest release (FROM=: any revision) come up on this version with all data? See CONTRIBUTING.md.
upgrade-check:
	@bin/dev upgrade-check $(if $(filter command%,$(origin FROM)),--from "$$FROM") $(if $(TIER),--tier "$(TIER)")

format:
	@bin/dev format

lock:
	@bin/lock
