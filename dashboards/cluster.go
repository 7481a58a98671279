package dashboards

// cluster shows the nodes and what holds them together.
func cluster() Dashboard {
	return Dashboard{
		UID: "fanfare-cluster", Title: "Fanfare cluster / 集群", Grafana: Leader, Source: leaderSource,
		description: about{
			"The nodes and what holds them together: links, routes, the store, the registry, and a canary through every path.",
			"节点以及维系它们的部分：链路、路由、存储、注册中心，以及走遍各路径的金丝雀。",
		},
		panels: append(append(clusterNumbers(), clusterNodes()...), clusterBonds()...),
	}
}

func clusterNumbers() []panel {
	nodes := func(state string) string {
		return `max(` + fed("global:fanfare_cluster_nodes:max", `state="`+state+`"`) + `)`
	}
	return []panel{
		row("Now", "现在"),
		stat("Serving", "服务中", about{"Nodes that devices are sent to.", "会分配设备的节点数。"}, unitNone, q(nodes("serving"), "")).falling(step{1, green}).
			to(detail("fanfare-routes")),
		stat("Draining", "排空中", about{
			"Nodes that were told to let their devices go.", "正在迁出设备的节点数。",
		}, unitNone, q(nodes("draining"), "")).rising(step{1, yellow}),
		stat("Lost", "丢失", about{
			"Nodes that went away without saying so, in the last 15 minutes.", "十五分钟内未道别即消失的节点数。",
		}, unitNone, q(nodes("lost"), "")).rising(step{1, red}),
		stat("Links down", "断开的链路", about{
			"Links between nodes that are down, each side counted. A push over one waits or fails.", "断开的节点间链路数（两端各计一次）。",
		}, unitNone, q(`sum(`+fed("global:fanfare_links:sum", `state="down"`)+`)`, "")).rising(step{1, red}).to(detail("fanfare-node")),
		stat("Registry", "注册中心", about{
			"Whether every process is connected to ZooKeeper. Without it nodes go on, and do not learn of each other.",
			"是否所有进程都连着 ZooKeeper。断开时节点照常工作，但互不知晓变化。",
		}, unitNone, q(`min(`+fed("global:fanfare_registry_connected:min")+`)`, "")).mapped(upDown()...).falling(step{1, green}),
		stat("Last sweep of routes", "上次路由清扫", about{
			"How long ago the node that is last in line swept the routes that dead nodes left behind.", "距最久未清扫节点上次清理死节点遗留路由的时间。",
		}, unitSeconds, q(`time() - min(`+fed("global:fanfare_routes_sweep_timestamp_seconds:max")+`)`, "").
			orEmpty("a node sweeps for the first time some minutes after its start")).
			digits(0).rising(step{900, yellow}, step{1800, red}).without("not yet / 尚未").to(detail("fanfare-routes")),
	}
}

func clusterNodes() []panel {
	return []panel{
		row("Nodes", "节点"),
		lines("Nodes by state", "节点状态", about{
			"Nodes that serve, drain or were lost, as the allocators see them.", "分配器看到的各状态节点数。",
		}, unitNone, q(`max by (state) (`+fed("global:fanfare_cluster_nodes:max")+`)`, "{{state}}")).digits(0).paint(statePaint()),
		lines("Connections by node", "各节点连接数", about{
			"Devices on each node. Lines that part company are placement that is not fair, or a node that was away.",
			"各节点的设备数。曲线分离说明分配不均或节点曾离线。",
		}, unitCount, q(`max by (node) (`+fed("global:fanfare_node_connections:sum")+`)`, "{{node}}")).each(nodeDetail()),
		lines("Memory by node", "各节点内存", about{
			"Resident memory of each node.", "各节点常驻内存。",
		}, unitBytes, q(`max by (node) (`+fed("cluster_node:process_resident_memory_bytes:sum")+`)`, "{{node}}")).each(nodeDetail()),
		lines("CPU by node", "各节点 CPU", about{
			"Cores that each node keeps busy, over five minutes.", "各节点占用的 CPU 核数（五分钟）。",
		}, unitCores, q(`max by (node) (`+fed("cluster_node:process_cpu_seconds:rate5m")+`)`, "{{node}}")).digits(2).each(nodeDetail()),
		bars("Connections now", "当前连接分布", about{
			"How the devices are spread over the nodes now.", "当前设备在各节点的分布。",
		}, unitCount, q(`max by (node) (`+fed("global:fanfare_node_connections:sum")+`)`, "{{node}}")).neutral().each(nodeDetail()),
		lines("Open files by node", "各节点打开文件", about{
			"File descriptors in use on each node; every device is one.", "各节点已用文件描述符，每台设备占一个。",
		}, unitCount, q(`max by (node) (`+fed("cluster_node:process_open_fds:sum")+`)`, "{{node}}")).each(nodeDetail()),
	}
}

func clusterBonds() []panel {
	store := "global:fanfare_store_duration_seconds"
	return []panel{
		row("What holds it together", "维系集群的部分"),
		lines("Canary by node", "各节点金丝雀", about{
			"The slowest way to each node's own device. The detail has every way by itself.", "到各节点金丝雀设备最慢路径的耗时，明细中有每条路径。",
		}, unitSeconds, q(`max by (to) (`+fed("global:fanfare_canary_seconds:max")+`)`, "{{to}}")).rising(step{lateSeconds, red}).to(detail("fanfare-routes")),
		lines("Canaries lost by node", "各节点金丝雀丢失", about{
			"Canary pushes to each node's own device that were lost, per second over five minutes.", "到各节点的金丝雀推送每秒丢失数（五分钟）。",
		}, unitEvents, q(`sum by (to) (`+fed("global:fanfare_canary_lost:rate5m")+`)`, "{{to}}")).to(detail("fanfare-routes")),
		lines("Links", "链路", about{
			"Links between nodes, each side counted.", "节点间链路数（两端各计一次）。",
		}, unitNone, q(`sum by (state) (`+fed("global:fanfare_links:sum")+`)`, "{{state}}")).digits(0).paint(map[string]string{"up": "green", "down": "red"}),
		lines("Between nodes", "节点间请求", about{
			"Requests of the gateway protocol per second over five minutes, by direction and result.", "网关协议每秒请求数（五分钟），按方向与结果。",
		}, unitRequests, q(`sum by (direction, result) (`+fed("global:fanfare_gateway_requests:rate5m")+`)`, "{{direction}} {{result}}")),
		lines("Stale routes", "陈旧路由", about{
			"Routes per second that pointed to a node or a connection that was gone. Some after a crash are normal; a steady flow is not.",
			"每秒发现的指向已消失节点或连接的路由。崩溃后有一些正常，持续则不正常。",
		}, unitEvents, q(`sum by (kind) (`+fed("global:fanfare_routes_stale:rate5m")+`)`, "{{kind}}")).to(detail("fanfare-routes")),
		lines("Store time", "存储耗时", about{
			"Quantiles of the time that calls of the store (Redis) took.", "存储（Redis）调用耗时分位。",
		}, unitSeconds, q(quantile("0.5", "", fed(store+"_bucket:rate5m")), "p50"), q(quantile("0.99", "", fed(store+"_bucket:rate5m")), "p99")).
			rising(step{0.1, red}).to(detail("fanfare-infrastructure")),
		lines("Store calls", "存储调用", about{
			"Calls of the store per second over five minutes, by result.", "每秒存储调用数（五分钟），按结果。",
		}, unitPerSec, q(`sum by (result) (`+fed(store+"_count:rate5m")+`)`, "{{result}}")).paint(map[string]string{"ok": "green", "error": "red"}),
		lines("Broadcasts and flow control", "广播与流控", about{
			"Broadcasts that run, and connections that flow control makes wait.", "进行中的广播数与被流控挂起的数量。",
		}, unitNone, q(`sum(`+fed("global:fanfare_broadcasts_running:sum")+`)`, "broadcasts / 广播"), q(`sum(`+fed("global:fanfare_flow_waiting:sum")+`)`, "waiting / 流控等待")),
	}
}
