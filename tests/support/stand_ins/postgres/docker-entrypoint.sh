#!/bin/sh
# PostgreSQL as its official image starts it, as far as we use it: the first time it makes the cluster with POSTGRES_USER,
# POSTGRES_PASSWORD_FILE and POSTGRES_INITDB_ARGS, then the database POSTGRES_DB; a command that begins with `-` is postgres's.
set -eu
case "${1:-}" in -*) set -- postgres "$@" ;; esac
[ "${1:-}" = postgres ] || exec "$@"
shift
sockets=/var/run/postgresql # what Debian's build has for a default; the wheel's is /tmp
set -- -c unix_socket_directories=$sockets "$@"
user=${POSTGRES_USER:-postgres}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  [ -s "${POSTGRES_PASSWORD_FILE:-}" ] || { echo "POSTGRES_PASSWORD_FILE names no password" >&2; exit 1; }
  eval 'initdb --username="$user" --pwfile="$POSTGRES_PASSWORD_FILE" '"${POSTGRES_INITDB_ARGS:-}"
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -w -o "$(printf "'%s' " "$@" -c listen_addresses= -p 5432)" start
  database=${POSTGRES_DB:-$user}
  export PGPASSFILE=/dev/null PGPASSWORD
  PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  found=$(psql -X -h $sockets -p 5432 -U "$user" -d postgres -v name="$database" -tA <<'SQL'
SELECT 1 FROM pg_database WHERE datname = :'name'
SQL
  )
  [ "$found" ] || psql -X -h $sockets -p 5432 -U "$user" -d postgres -v ON_ERROR_STOP=1 -v name="$database" <<'SQL'
CREATE DATABASE :"name"
SQL
  unset PGPASSWORD PGPASSFILE
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec postgres "$@"
