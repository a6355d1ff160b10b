#!/bin/sh
# Flags alone are those of the server.
set -e
case "${1:-}" in
  -*) set -- nats-server "$@" ;;
esac
exec "$@"
