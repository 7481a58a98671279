//go:build linux

package main

import _ "embed"

// recipe tells how to make a stand-in for an image: what the compose file and the
// Dockerfile use of the real one, and no more.
type recipe struct {
	packages   string                                      // of Debian, all of which the common root file system has
	script     string                                      // put at /docker-entrypoint.sh, if any
	dockerfile string                                      // what follows FROM the root file system
	add        func(w *workshop, dir string) error         // adds to the directory that the image is built in
	key        func(w *workshop) (parts []string, e error) // what else the image depends on
}

var (
	//go:embed redis.sh
	redisScript string
	//go:embed zookeeper.sh
	zookeeperScript string
	//go:embed prometheus.sh
	prometheusScript string
)

// recipes has one for each repository that the compose file or the Dockerfile names.
var recipes = map[string]recipe{
	// Of the real one: the data directory, the user redis (that root becomes), sh,
	// redis-server and redis-cli.
	"redis": {packages: "redis-server", script: redisScript, dockerfile: `
		RUN mkdir /data && chown redis:redis /data
		VOLUME /data
		WORKDIR /data
		EXPOSE 6379
		ENTRYPOINT ["/docker-entrypoint.sh"]
		CMD ["redis-server"]`},

	// Of the real one: the variables ZOO_… and ZK_SERVER_HEAP, the directories, the
	// user zookeeper (that root becomes), bash, zkServer.sh in the path.
	"zookeeper": {packages: "zookeeper", script: zookeeperScript, dockerfile: `
		ENV ZOO_CONF_DIR=/conf ZOO_DATA_DIR=/data ZOO_DATA_LOG_DIR=/datalog ZOO_LOG_DIR=/logs \
			ZOO_TICK_TIME=2000 ZOO_INIT_LIMIT=5 ZOO_SYNC_LIMIT=2 ZOO_MAX_CLIENT_CNXNS=60 \
			ZOO_AUTOPURGE_PURGEINTERVAL=0 ZOO_AUTOPURGE_SNAPRETAINCOUNT=3 \
			ZOO_STANDALONE_ENABLED=true ZOO_ADMINSERVER_ENABLED=true
		RUN mkdir /conf /data /datalog /logs && chown zookeeper:zookeeper /conf /data /datalog /logs
		VOLUME ["/data", "/datalog", "/logs"]
		EXPOSE 2181 2888 3888 8080
		ENV PATH=$PATH:/usr/share/zookeeper/bin
		RUN echo 'CLASSPATH=$CLASSPATH:/usr/share/java/slf4j-simple.jar' >>/usr/share/zookeeper/bin/zkEnv.sh
		ENTRYPOINT ["/docker-entrypoint.sh"]
		CMD ["zkServer.sh", "start-foreground"]`},

	// Of the real one: Go at /usr/local/go, sh, and certificates. Modules come from the
	// image, so that a build needs no network.
	"golang": {packages: "ca-certificates", add: addGo, key: goKey, dockerfile: `
		COPY go /usr/local/go
		COPY modules /modules
		ENV GOPATH=/go GOTOOLCHAIN=local GOPROXY=file:///modules GOSUMDB=off \
			PATH=/go/bin:/usr/local/go/bin:$PATH
		WORKDIR /go`},

	// Of the real one: /bin/prometheus as the entry point, the user nobody, who owns
	// /prometheus, and busybox. Debian's is 2.42: see the entry point.
	"prom/prometheus": {packages: "prometheus busybox", script: prometheusScript, dockerfile: watcher + `
		RUN mkdir /prometheus && chown nobody:nogroup /prometheus
		VOLUME /prometheus
		WORKDIR /prometheus
		EXPOSE 9090
		USER nobody
		ENTRYPOINT ["/docker-entrypoint.sh"]
		CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]`},

	// Of the real one: /bin/alertmanager, the user nobody, who owns /alertmanager, and
	// busybox.
	"prom/alertmanager": {packages: "prometheus-alertmanager busybox", dockerfile: watcher + `
		RUN ln -s prometheus-alertmanager /usr/bin/alertmanager && mkdir /alertmanager && chown nobody:nogroup /alertmanager
		VOLUME /alertmanager
		WORKDIR /alertmanager
		EXPOSE 9093
		USER nobody
		ENTRYPOINT ["/bin/alertmanager"]
		CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]`},

	// Of the real one: /bin/node_exporter, the user nobody, busybox. Debian's asks systemd
	// without being told to, which logs an error each time where there is none.
	"prom/node-exporter": {packages: "prometheus-node-exporter busybox", dockerfile: watcher + `
		RUN ln -s prometheus-node-exporter /usr/bin/node_exporter
		EXPOSE 9100
		USER nobody
		ENTRYPOINT ["/bin/node_exporter", "--no-collector.systemd"]`},

	// Of the real one: /bin/blackbox_exporter, a user without rights, busybox.
	"prom/blackbox-exporter": {packages: "prometheus-blackbox-exporter busybox", dockerfile: watcher + `
		RUN ln -s prometheus-blackbox-exporter /usr/bin/blackbox_exporter
		EXPOSE 9115
		USER 6170
		ENTRYPOINT ["/bin/blackbox_exporter"]
		CMD ["--config.file=/etc/blackbox_exporter/config.yml"]`},

	// Of the real one, in the variant of Alpine: /redis_exporter, the user 59000, busybox.
	"oliver006/redis_exporter": {packages: "prometheus-redis-exporter busybox", dockerfile: watcher + `
		RUN ln -s /usr/bin/prometheus-redis-exporter /redis_exporter
		EXPOSE 9121
		USER 59000:59000
		ENTRYPOINT ["/redis_exporter"]`},
}

// watcher is what the images of those that watch have in common: of busybox, what the
// compose file checks their health with.
const watcher = `
		RUN ln -sf busybox /usr/bin/wget`
