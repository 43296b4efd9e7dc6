#!/bin/sh
# All databases of a PostgreSQL server as SQL: `databases.sh save` writes them to standard output, each as it is at one moment, while clients
# use them; `databases.sh load` reads them from standard input. Users come without their passwords: the components set these themselves.
set -eu
PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
export PGPASSWORD
query() { psql --no-psqlrc --quiet --tuples-only --no-align --command "$1"; }
case $1 in
save)
  query "SELECT format('CREATE ROLE %I LOGIN;', rolname) FROM pg_roles WHERE rolname <> current_user AND rolname !~ '^pg_' ORDER BY 1"
  names=$(query "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1")
  for name in $names; do
    pg_dump --create --clean --if-exists --dbname "$name"
  done
  echo "-- complete"
  ;;
load)
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --output /dev/null
  ;;
esac
