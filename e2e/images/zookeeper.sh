#!/bin/bash
# What the real image's entry point does that matters here: it writes a configuration
# from the environment, and the server runs as the user zookeeper.
set -e
if [ "$1" = zkServer.sh ] && [ "$(id -u)" = 0 ]; then
	chown -R zookeeper "$ZOO_DATA_DIR" "$ZOO_DATA_LOG_DIR" "$ZOO_LOG_DIR"
	exec setpriv --reuid=zookeeper --regid=zookeeper --init-groups "$0" "$@"
fi
if [ ! -f "$ZOO_CONF_DIR/zoo.cfg" ]; then
	cat >"$ZOO_CONF_DIR/zoo.cfg" <<-END
		dataDir=$ZOO_DATA_DIR
		dataLogDir=$ZOO_DATA_LOG_DIR
		tickTime=$ZOO_TICK_TIME
		initLimit=$ZOO_INIT_LIMIT
		syncLimit=$ZOO_SYNC_LIMIT
		autopurge.snapRetainCount=$ZOO_AUTOPURGE_SNAPRETAINCOUNT
		autopurge.purgeInterval=$ZOO_AUTOPURGE_PURGEINTERVAL
		maxClientCnxns=$ZOO_MAX_CLIENT_CNXNS
		standaloneEnabled=$ZOO_STANDALONE_ENABLED
		admin.enableServer=$ZOO_ADMINSERVER_ENABLED
		${ZOO_4LW_COMMANDS_WHITELIST:+4lw.commands.whitelist=$ZOO_4LW_COMMANDS_WHITELIST}
		$(printf '%s\n' ${ZOO_SERVERS:-server.1=localhost:2888:3888;2181} $ZOO_CFG_EXTRA)
	END
fi
[ -f "$ZOO_DATA_DIR/myid" ] || echo "${ZOO_MY_ID:-1}" >"$ZOO_DATA_DIR/myid"

# Debian's zkEnv.sh takes neither the directory of the configuration nor the size of
# the heap from the environment, and logs to a file; zkServer.sh takes both as below.
export JVMFLAGS="-Xmx${ZK_SERVER_HEAP:-1000}m $SERVER_JVMFLAGS $JVMFLAGS"
if [ "$1" = zkServer.sh ] && [ $# = 2 ]; then set -- "$@" "$ZOO_CONF_DIR/zoo.cfg"; fi
exec "$@"
