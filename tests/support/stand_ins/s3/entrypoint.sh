#!/bin/sh
# SeaweedFS as its image's entrypoint starts it, as far as we use it: FIPS mode on, `server` with options of its own before ours, words
# split at spaces. Started as root the image gives /data to its own user and becomes that one; we never do.
export GODEBUG="${GODEBUG:+$GODEBUG,}fips140=on"
if [ "$(id -u)" = 0 ]; then
  echo "the stand-in is not made to be started as root" >&2
  exit 1
fi
case "$1" in
server)
  options="-dir=/data -volume.max=0 -master.volumeSizeLimitMB=1024"
  case " $* " in *" -volume.max"*) options="-dir=/data -master.volumeSizeLimitMB=1024" ;; esac
  shift
  # shellcheck disable=SC2068,SC2086 # as there
  exec /usr/bin/weed -logtostderr=true server $options $@
  ;;
*)
  # shellcheck disable=SC2068
  exec /usr/bin/weed $@
  ;;
esac
