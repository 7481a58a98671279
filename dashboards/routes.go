package dashboards

// routes shows what the allocators know of the cluster, and the way between nodes.
func routes() Dashboard {
	return Dashboard{
		UID: "fanfare-routes", Title: "Fanfare cluster and routes / 集群与路由明细", Grafana: Follower, Source: follower1Source, node: true,
		description: about{
			"What the allocators know of the nodes; routes and how they are kept clean; the canary on every way; ZooKeeper.",
			"分配器所知的节点；路由及其清理；每条路径的金丝雀；ZooKeeper。",
		},
		panels: append(append(append(routeNodes(), routeCanary()...), routeCare()...), routeZooKeeper()...),
	}
}

func routeNodes() []panel {
	return []panel{
		row("What allocators know", "分配器所知"),
		states("Nodes that serve", "服务中的节点", about{
			"Whether allocators send devices to the node. Two allocators that differ for long look at different registries.",
			"分配器是否向该节点分配设备。",
		}, []mapping{{"0", "out / 未服务", red}, {"1", "serving / 服务中", green}},
			q(`max by (node) (fanfare_cluster_node_serving{`+ofNode+`})`, "{{node}}")).falling(step{1, green}),
		states("Sources", "信息来源", about{
			"Whether what each process knows of the cluster comes first hand, from ZooKeeper and Redis.", "各进程的集群信息是否直接来自 ZooKeeper 与 Redis。",
		}, upDown(), q(`min by (job, source) (fanfare_cluster_source_up{`+ofCluster+`})`, "{{job}} {{source}}")).falling(step{1, green}),
		table("Nodes", "节点", about{
			"Each node as the allocators know it now: devices, users on its list in the store, clock.", "分配器所知的各节点现状：设备数、存储中在线用户数、时钟。",
		}, unitCount,
			q(`max by (node) (fanfare_cluster_node_serving{`+ofNode+`})`, ""),
			q(`max by (node) (fanfare_cluster_node_connections{`+ofNode+`})`, ""),
			q(`max by (node) (fanfare_cluster_node_routes{`+ofNode+`})`, "").orEmpty("nodes that share a list have no number of their own"),
			q(`max by (node) (fanfare_cluster_node_clock_skew_seconds{`+ofNode+`})`, "")).
			rename(map[string]string{
				"node": "Node / 节点", "Value #A": "Serving / 服务", "Value #B": "Connections / 连接", "Value #C": "Routes / 路由", "Value #D": "Clock / 时钟差",
			}).
			with(column{name: "Serving / 服务", maps: []mapping{{"0", "no / 否", red}, {"1", "yes / 是", green}}},
				column{name: "Clock / 时钟差", unit: unitSeconds},
				column{name: "Node / 节点", links: []link{{"Node / 节点", "/d/fanfare-node?var-cluster=${cluster}&var-node=${__value.raw}&${__url_time_range}"}}}),
		lines("Routes by node", "各节点路由", about{
			"Users that the store has on each node's list of online users.", "存储中各节点的在线用户数。",
		}, unitCount, q(`max by (node) (fanfare_cluster_node_routes{`+ofNode+`})`, "{{node}}").orEmpty("nodes that share a list have no number of their own")),
		lines("Clock skew", "时钟偏差", about{
			"By how much each node's clock is ahead of the allocators'. Over a second, ages and ttls are wrong.", "各节点时钟领先分配器的时间，超过一秒则时效计算有误。",
		}, unitSeconds, q(`max by (node) (fanfare_cluster_node_clock_skew_seconds{`+ofNode+`})`, "{{node}}")).anySign(),
		lines("Versions", "版本数", about{
			"Distinct versions among the nodes that serve. More than one outside of an upgrade is a node that was forgotten.", "服务节点的不同版本数，非升级期间大于一说明有遗漏。",
		}, unitNone, q(`max(fanfare_cluster_versions{`+ofCluster+`})`, "versions / 版本")).digits(0),
	}
}

func routeCanary() []panel {
	return []panel{
		row("Canary", "金丝雀"),
		table("Canary from and to", "金丝雀往返矩阵", about{
			"Newest round trip from each entry point (row) to each node's own device (column). One red column is a node, one red row an entry point.",
			"各入口（行）到各节点设备（列）的最近往返。一列变红是节点问题，一行变红是入口问题。",
		}, unitSeconds, q(`max by (from, to) (fanfare_canary_seconds{`+ofCluster+`})`, "")).grid("from", "to").rising(step{0.25, yellow}, step{lateSeconds, red}),
		lines("Canary by way", "各路径金丝雀", about{
			"Round trips over time for each way.", "各路径往返耗时随时间的变化。",
		}, unitSeconds, q(`max by (from, to) (fanfare_canary_seconds{`+ofCluster+`,to=~"$node"})`, "{{from}} → {{to}}")).numbers().rising(step{lateSeconds, red}),
		lines("Canaries lost", "金丝雀丢失", about{
			"Canary pushes that were not acknowledged in time, per second, for each way. Must be 0.", "各路径每秒未及时确认的金丝雀推送，应为 0。",
		}, unitEvents, q(`sum by (from, to) (`+rate("fanfare_canary_lost_total", ofCluster+`,to=~"$node"`)+`)`, "{{from}} → {{to}}")).rising(step{0.0001, red}),
		lines("Canaries sent", "金丝雀发送", about{
			"Canary pushes that ended, per second, for each node they go to.", "每秒完成的金丝雀推送数，按目标节点。",
		}, unitEvents, q(`sum by (to) (`+rate("fanfare_canary_pushes_total", ofCluster+`,to=~"$node"`)+`)`, "{{to}}")),
	}
}

func routeCare() []panel {
	return []panel{
		row("Routes and kicks", "路由与踢下线"),
		lines("Stale routes", "陈旧路由", about{
			"Routes per second that pointed to a node or a connection that was gone.", "每秒发现的指向已消失节点或连接的路由。",
		}, unitEvents, q(`sum by (node, kind) (`+rate("fanfare_routes_stale_total", ofNode)+`)`, "{{node}} {{kind}}")),
		lines("Last sweep", "上次清扫", about{
			"Time since each node last swept the routes that dead nodes left behind.", "各节点距上次清扫死节点遗留路由的时间。",
		}, unitSeconds, q(`time() - (max by (node) (fanfare_routes_sweep_timestamp_seconds{`+ofNode+`}) > 0)`, "{{node}}").
			orEmpty("a node sweeps for the first time some minutes after its start")).digits(0).rising(step{900, yellow}, step{1800, red}),
		lines("Sweeps", "清扫", about{
			"Sweeps per second by result.", "每秒清扫次数，按结果。",
		}, unitEvents, q(`sum by (node, result) (`+rate("fanfare_route_sweeps_total", ofNode)+`)`, "{{node}} {{result}}")),
		lines("Routes restored", "恢复的路由", about{
			"Routes per second that nodes wrote again, because the store had lost them.", "节点因存储丢失而每秒重写的路由数。",
		}, unitEvents, q(`sum by (node) (`+rate("fanfare_routes_restored_total", ofNode)+`)`, "{{node}}")),
		lines("Kicks", "踢下线", about{
			"Requests per second to end a connection on another node, sent and received.", "每秒收发的跨节点踢下线请求。",
		}, unitEvents, q(`sum by (node, direction, result) (`+rate("fanfare_kicks_total", ofNode)+`)`, "{{node}} {{direction}} {{result}}")).numbers(),
		lines("Deletions that wait", "等待删除的路由", about{
			"Routes of connections that ended, whose deletion waits for the store.", "连接已结束、等待存储删除的路由数。",
		}, unitCount, q(`sum by (node) (fanfare_route_drops_waiting{`+ofNode+`})`, "{{node}}")).digits(0),
	}
}

func routeZooKeeper() []panel {
	none := "the four letter words of ZooKeeper may be turned off"
	return []panel{
		row("ZooKeeper", "ZooKeeper 注册中心"),
		states("ZooKeeper servers", "ZooKeeper 服务器", about{
			"Whether each ZooKeeper server answers and serves, and the processes' connection to it.", "各 ZooKeeper 服务器是否应答并服务，以及各进程的连接。",
		}, upDown(), q(`max by (server) (fanfare_zookeeper_up{`+ofCluster+`})`, "{{server}}"),
			q(`min by (job) (fanfare_registry_connected{`+ofCluster+`})`, "{{job}} session / 会话")).falling(step{1, green}),
		lines("ZooKeeper latency", "ZooKeeper 延迟", about{
			"Time of a server to answer an allocator, and mean and longest time of a request in it since it was started.", "服务器应答分配器的耗时，以及启动以来请求的平均与最长耗时。",
		}, unitSeconds, q(`min by (server) (fanfare_zookeeper_answer_seconds{`+ofCluster+`})`, "{{server}} answer / 应答").orEmpty(none),
			q(`max by (server, stat) (fanfare_zookeeper_latency_seconds{`+ofCluster+`,stat=~"avg|max"})`, "{{server}} {{stat}}").orEmpty(none)),
		lines("ZooKeeper load", "ZooKeeper 负载", about{
			"Requests that wait, and connections, of each server.", "各服务器等待的请求数与连接数。",
		}, unitNone, q(`max by (server) (fanfare_zookeeper_outstanding_requests{`+ofCluster+`})`, "{{server}} waiting / 等待").orEmpty(none),
			q(`max by (server) (fanfare_zookeeper_connections{`+ofCluster+`})`, "{{server}} connections / 连接").orEmpty(none)).digits(0),
		lines("ZooKeeper entries and leaders", "ZooKeeper 条目与主", about{
			"Entries in the tree, and which server leads.", "树中条目数与主服务器。",
		}, unitCount, q(`max by (server) (fanfare_zookeeper_znodes{`+ofCluster+`})`, "{{server}} entries / 条目").orEmpty(none),
			q(`max by (server) (fanfare_zookeeper_leader{`+ofCluster+`})`, "{{server}} leads / 为主").orEmpty(none)),
		lines("Sessions lost", "丢失的会话", about{
			"ZooKeeper sessions that processes lost, per second, and entries that could not be read or were contested.", "各进程每秒丢失的会话、无法读取与冲突的条目。",
		}, unitEvents, q(`sum by (job) (`+rate("fanfare_registry_sessions_lost_total", ofCluster)+`)`, "{{job}} sessions / 会话"),
			q(`sum by (job) (`+rate("fanfare_registry_unreadable_total", ofCluster)+`)`, "{{job}} unreadable / 不可读"),
			q(`sum by (job) (`+rate("fanfare_registry_conflicts_total", ofCluster)+`)`, "{{job}} conflicts / 冲突")),
		lines("HTTP API", "HTTP 接口", about{
			"Requests of the allocators' HTTP API per second by status; what did not happen in the last hour is left out.", "分配器 HTTP 接口每秒请求数，按状态。",
		}, unitRequests, q(happened("handler, code", "fanfare_http_requests_total", ofCluster), "{{handler}} {{code}}")).numbers(),
	}
}
