#!/bin/bash
# Health check of Valkey: log in and PING, within 3 seconds. It fails while Valkey still reads its append-only file. The image's valkey-cli
# would do, but the wheel of the local engine does not contain it.
set -u
password=
read -r _ password <"$VALKEY_CONFIG" # its only line: requirepass PASSWORD
exec 3<>"/dev/tcp/127.0.0.1/$VALKEY_PORT" || exit 1
printf 'AUTH %s\r\nPING\r\n' "$password" >&3
read -r -t 3 entered <&3 && read -r -t 3 answer <&3 || exit 1
[ "${entered%$'\r'} ${answer%$'\r'}" = "+OK +PONG" ]
