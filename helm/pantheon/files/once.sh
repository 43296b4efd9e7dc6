#!/bin/sh
# Run a program that must not run twice on its data: `once.sh LOCK COMMAND…`. Containers and processes share the lock, so it also holds where
# Docker starts containers again after their deployment moved to the local engine. The kernel frees it with the last process of COMMAND.
set -eu
lock=$1
shift
exec 9>>"$lock"
if ! flock -n 9; then
  echo "another server already uses this data ($lock is locked), in a container or as a process: stop it first" >&2
  exit 1
fi
exec "$@"
