#!/bin/sh
# Health check of a service in a container: `health.sh 10 COMMAND…` runs COMMAND. After 10 failures in a row, the next check ends a service
# that was healthy before, so that `restart` starts it again: Docker restarts containers that end, but not those that hang.
# With `init: true`, pid 1 is the init process, so this script may kill the service. COMMAND needs a time limit of its own that is
# shorter than the check's `timeout`, because at the timeout Docker ends this script only.
set -u
limit=$1
shift
# Docker starts this script from outside the container, so its parent has no pid here. The local engine's supervisor restarts hanging
# services itself, and there nothing may be killed.
[ "$PPID" = 0 ] || exec "$@"
failures=/tmp/.health-failures # exists once the service was healthy; a restart empties /tmp
if [ -e "$failures" ]; then
  read -r count <"$failures" || count=0
  if [ "$count" -ge "$limit" ]; then
    echo "$count health checks in a row failed: ending the service" 2>/dev/null >/proc/1/fd/2
    kill -KILL -1 # every process except init and this one
  fi
  [ "$count" = 0 ] || kill -CONT 1 # continues init and the service if they were stopped (SIGSTOP)
  echo "$((count + 1))" >"$failures" # before COMMAND, so that it counts even if Docker ends this script
fi
"$@" || exit
echo 0 >"$failures"
exit 0
