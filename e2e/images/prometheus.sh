#!/bin/sh
# Debian's Prometheus is older than the one that docker-compose.yml names. What it does
# not know yet is rendered for it, and said: track_timestamps_staleness is since 2.48.
# honor_timestamps: false has the same effect here: series that vanish at the source
# vanish at once.
set -e
file=
for word; do
	shift
	case "$word" in
	--config.file=*)
		file=${word#*=}
		word=--config.file=/prometheus/stand-in.yml
		;;
	esac
	set -- "$@" "$word"
done
sed 's/^\( *\)track_timestamps_staleness: true/\1honor_timestamps: false/' "${file:?no --config.file=}" >/prometheus/stand-in.yml
if ! cmp -s "$file" /prometheus/stand-in.yml; then
	echo "stand-in: in place of $file, for $(prometheus --version 2>&1 | head -n 1):" >&2
	diff "$file" /prometheus/stand-in.yml >&2 || true
fi
exec prometheus "$@"
