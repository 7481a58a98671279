#!/bin/sh
# What the real image's entry point does that matters here: options and configuration
# files are for redis-server, and the server runs as the user redis.
set -e
case "$1" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	find . ! -user redis -exec chown redis {} +
	exec setpriv --reuid=redis --regid=redis --init-groups "$@"
fi
exec "$@"
