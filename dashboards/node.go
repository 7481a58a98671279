package dashboards

// node shows one node, or several side by side, from their raw series.
func node() Dashboard {
	return Dashboard{
		UID: "fanfare-node", Title: "Fanfare node / 节点", Grafana: Follower, Source: follower1Source, node: true,
		description: about{
			"One node in detail, or several side by side: connections, handshakes, queues, links, store, and what the process uses.",
			"单个或多个节点的明细：连接、握手、队列、链路、存储与进程资源。",
		},
		panels: append(append(append(nodeNumbers(), nodeConnections()...), nodeTraffic()...), nodeProcess()...),
	}
}

func nodeNumbers() []panel {
	perNode := func(metric string) string { return `sum by (node) (` + metric + `{` + ofNode + `})` }
	return []panel{
		row("Now", "现在"),
		stat("Up", "存活", about{
			"Whether the follower can read the node.", "从 Prometheus 能否读到该节点。",
		}, unitNone, q(`max by (node) (up{job="fanfare-node",`+ofNode+`})`, "{{node}}")).mapped(upDown()...).falling(step{1, green}).size(8, 4),
		stat("Connections", "连接数", about{
			"Devices that are connected to the node.", "连接到该节点的设备数。",
		}, unitCount, q(perNode("fanfare_connections"), "{{node}}")).neutral().size(8, 4),
		stat("Running for", "运行时间", about{
			"Time since the process was started.", "进程启动至今的时间。",
		}, unitSeconds, q(`time() - max by (node) (process_start_time_seconds{job="fanfare-node",`+ofNode+`})`, "{{node}}")).digits(0).neutral().size(8, 4),
		stat("Memory in use", "内存占用", about{
			"Resident memory as a share of the limit of the container or the machine. Past 100 % the kernel ends the process.",
			"常驻内存占容器或机器上限的比例，到 100 % 内核会终止进程。",
		}, unitRatio, q(`max by (node) (process_resident_memory_bytes{job="fanfare-node",`+ofNode+`} / fanfare_memory_limit_bytes{job="fanfare-node",`+ofNode+`})`, "{{node}}")).
			rising(step{0.75, yellow}, step{0.9, red}).size(8, 4),
		stat("Files in use", "文件描述符占用", about{
			"Open file descriptors as a share of the limit. Every device is one; at 100 % new devices are turned away.",
			"已用文件描述符占上限的比例，每台设备占一个，到 100 % 拒绝新设备。",
		}, unitRatio, q(`max by (node) (process_open_fds{job="fanfare-node",`+ofNode+`} / process_max_fds{job="fanfare-node",`+ofNode+`})`, "{{node}}")).
			rising(step{0.7, yellow}, step{0.85, red}).size(8, 4),
		stat("Outbound queues", "出站队列", about{
			"Bytes that wait to be written to devices.", "等待写给设备的字节数。",
		}, unitBytes, q(perNode("fanfare_outbound_queue_bytes"), "{{node}}")).neutral().size(8, 4),
	}
}

func nodeConnections() []panel {
	return []panel{
		row("Connections", "连接"),
		lines("Connections by transport", "各传输连接数", about{
			"Connected devices by transport.", "按传输方式的连接数。",
		}, unitCount, q(`sum by (node, transport) (fanfare_connections{`+ofNode+`})`, "{{node}} {{transport}}")).numbers(),
		lines("Bound connections by client type", "各客户端类型已绑定连接", about{
			"Connections that belong to a user, by the class of the client.", "已绑定用户的连接数，按客户端类型。",
		}, unitCount, q(`sum by (client_type) (fanfare_bound_connections{`+ofNode+`})`, "{{client_type}}")).stacked(),
		lines("Opened and closed", "新建与关闭", about{
			"Connections that began and that ended, per second.", "每秒新建与结束的连接数。",
		}, unitEvents, q(`sum by (node) (`+rate("fanfare_connections_opened_total", ofNode)+`)`, "{{node}} opened / 新建"),
			q(`sum by (node) (`+rate("fanfare_connections_closed_total", ofNode)+`)`, "{{node}} closed / 关闭")),
		lines("Why connections ended", "关闭原因", about{
			"Ended connections by reason, per second; reasons that did not happen in the last hour are left out.", "每秒关闭的连接数，按原因，一小时内未出现的不显示。",
		}, unitEvents, q(happened("reason", "fanfare_connections_closed_total", ofNode), "{{reason}}").orEmpty("no connection ended in the last hour")).numbers(),
		lines("Session length", "会话时长", about{
			"How long the connections had lasted that ended within ten minutes: half of them and 90 % of them at most this long.",
			"十分钟内结束的连接持续了多久：50 % 与 90 % 的连接不超过此值。",
		}, unitSeconds, q(quantile("0.5", "node", `rate(fanfare_connection_duration_seconds_bucket{`+ofNode+`}[10m])`), "{{node}} 50 %").
			orEmpty("no connection ended in ten minutes"),
			q(quantile("0.9", "node", `rate(fanfare_connection_duration_seconds_bucket{`+ofNode+`}[10m])`), "{{node}} 90 %").
				orEmpty("no connection ended in ten minutes")),
		lines("Heartbeats", "心跳", about{
			"Heartbeats of devices per second.", "每秒设备心跳数。",
		}, unitEvents, q(`sum by (node) (`+rate("fanfare_heartbeats_total", ofNode)+`)`, "{{node}}")),
		lines("Handshakes", "握手", about{
			"Handshakes per second by kind and result; what did not happen in the last hour is left out.", "每秒握手数，按类型与结果，一小时内未出现的不显示。",
		}, unitEvents, q(happened("kind, result", "fanfare_handshakes_total", ofNode), "{{kind}} {{result}}").orEmpty("no device came in the last hour")),
		lines("Handshake time, 99 %", "握手耗时 99 分位", about{
			"99 % of the handshakes of each kind were answered within this time.", "各类握手中 99 % 在此时间内完成。",
		}, unitSeconds, q(quantile("0.99", "kind", rate("fanfare_handshake_duration_seconds_bucket", ofNode)), "{{kind}}")).rising(step{1, red}),
		lines("Waiting for RSA and the store", "RSA 与存储排队", about{
			"Jobs that wait in the pool that does RSA for handshakes, and in the one that calls the store.", "等待 RSA 运算池与存储池的任务数。",
		}, unitNone, q(`sum by (node, pool) (fanfare_pool_queue_length{`+ofNode+`})`, "{{node}} {{pool}}")).digits(0),
		lines("Turned away", "被拒绝", about{
			"Jobs per second that a full pool refused, and connections that could not be accepted.", "每秒因池满被拒的任务与无法接受的连接。",
		}, unitEvents, q(`sum by (node, pool) (`+rate("fanfare_pool_rejected_total", ofNode)+`)`, "{{node}} pool {{pool}}"),
			q(`sum by (node, kind) (`+rate("fanfare_accept_errors_total", ofNode)+`)`, "{{node}} accept {{kind}}")).rising(step{0.0001, red}),
	}
}

func nodeTraffic() []panel {
	return []panel{
		row("Queues, links and store", "队列、链路与存储"),
		lines("Outbound queues over time", "出站队列趋势", about{
			"Bytes that wait to be written to devices.", "等待写给设备的字节数。",
		}, unitBytes, q(`sum by (node) (fanfare_outbound_queue_bytes{`+ofNode+`})`, "{{node}}")),
		lines("Slow connections", "慢连接", about{
			"Connections whose oldest waiting byte is older than this.", "最旧待发字节超过相应时长的连接数。",
		}, unitCount, q(`sum by (node, over) (fanfare_slow_connections{`+ofNode+`})`, "{{node}} > {{over}}")),
		lines("Gateway requests", "网关请求", about{
			"Requests of the gateway protocol per second: in from back ends and other nodes, out to other nodes.", "网关协议每秒请求：in 来自后端与其他节点，out 发往其他节点。",
		}, unitRequests, q(happened("node, direction, result", "fanfare_gateway_requests_total", ofNode), "{{node}} {{direction}} {{result}}").
			orEmpty("nothing was pushed through the gateway in the last hour")).numbers(),
		lines("Links", "链路", about{
			"Links to other nodes that are up and down.", "到其他节点的链路数（通与断）。",
		}, unitNone, q(`sum by (node, state) (fanfare_links{`+ofNode+`})`, "{{node}} {{state}}")).digits(0),
		lines("Link round trip, 99 %", "链路往返 99 分位", about{
			"Time from a ping to another node until its answer.", "到其他节点的往返时间。",
		}, unitSeconds, q(quantile("0.99", "node", rate("fanfare_link_round_trip_seconds_bucket", ofNode)), "{{node}}")).rising(step{0.1, red}),
		lines("Link queues and reconnects", "链路队列与重连", about{
			"Bytes that wait on links to other nodes.", "等待发往其他节点的字节数。",
		}, unitBytes, q(`sum by (node) (fanfare_link_queue_bytes{`+ofNode+`})`, "{{node}}")),
		lines("Store time, 99 %", "存储耗时 99 分位", about{
			"99 % of the calls of each kind were answered within this time.", "各类存储调用中 99 % 在此时间内完成。",
		}, unitSeconds, q(quantile("0.99", "operation", rate("fanfare_store_duration_seconds_bucket", ofNode)), "{{operation}}")).numbers().rising(step{0.1, red}),
		lines("Store errors", "存储错误", about{
			"Calls of the store per second that failed. Must be 0.", "每秒失败的存储调用，应为 0。",
		}, unitPerSec, q(`sum by (node) (`+rate("fanfare_store_duration_seconds_count", ofNode+`,result="error"`)+`)`, "{{node}}")).rising(step{0.0001, red}),
		lines("Flow control", "流控", about{
			"Pushes that wait because flow control holds them.", "被流控挂起的推送数。",
		}, unitNone, q(`sum by (node) (fanfare_flow_waiting{`+ofNode+`})`, "{{node}}")).digits(0),
		lines("HTTP proxy", "HTTP 代理", about{
			"Requests of devices through the node's HTTP proxy per second, and those that run.", "设备经节点 HTTP 代理的每秒请求数与进行中数量。",
		}, unitRequests, q(`sum by (node) (`+rate("fanfare_http_proxy_requests_total", ofNode)+`)`, "{{node}} per second / 每秒"),
			q(`sum by (node) (fanfare_http_proxy_running{`+ofNode+`})`, "{{node}} running / 进行中")),
	}
}

func nodeProcess() []panel {
	of := `job="fanfare-node",` + ofNode
	return []panel{
		row("Process", "进程"),
		lines("Memory", "内存", about{
			"Resident memory, what of it is heap in use, and the limit of the container or the machine.", "常驻内存、堆内存与上限。",
		}, unitBytes, q(`max by (node) (process_resident_memory_bytes{`+of+`})`, "{{node}} resident / 常驻"),
			q(`max by (node) (go_memstats_heap_inuse_bytes{`+of+`})`, "{{node}} heap / 堆"),
			q(`min by (node) (fanfare_memory_limit_bytes{`+of+`})`, "{{node}} limit / 上限")).numbers(),
		lines("CPU", "CPU 占用", about{
			"Cores that the process keeps busy.", "进程占用的 CPU 核数。",
		}, unitCores, q(`max by (node) (`+rate("process_cpu_seconds_total", of)+`)`, "{{node}}")).digits(2),
		lines("Open files", "打开文件", about{
			"File descriptors in use, and the limit.", "已用文件描述符与上限。",
		}, unitCount, q(`max by (node) (process_open_fds{`+of+`})`, "{{node}}"), q(`min(process_max_fds{`+of+`})`, "limit / 上限")),
		lines("Goroutines", "协程", about{
			"Goroutines. They follow the connections, and do not when something leaks.", "协程数应随连接数变化，否则存在泄漏。",
		}, unitCount, q(`max by (node) (go_goroutines{`+of+`})`, "{{node}}")),
		lines("Garbage collection", "垃圾回收", about{
			"Share of the time that the process stood still for the garbage collector.", "垃圾回收停顿占时间的比例。",
		}, unitRatio, q(`max by (node) (`+rate("go_gc_duration_seconds_sum", of)+`)`, "{{node}}")).rising(step{0.01, yellow}).digits(4),
		lines("Network", "网络", about{
			"Bytes per second that the process's network namespace received (up) and sent.", "进程网络命名空间每秒收发字节数。",
		}, unitByteRate, q(`max by (node) (`+rate("process_network_receive_bytes_total", of)+`)`, "{{node}} in / 收"),
			q(`max by (node) (`+rate("process_network_transmit_bytes_total", of)+`)`, "{{node}} out / 发")),
		table("Versions", "版本", about{
			"What runs: version, revision and compiler of each node.", "各节点运行的版本、修订与编译器。",
		}, unitText, q(`max by (node, version, revision, goversion) (fanfare_build_info{`+of+`})`, "")).hide("Value").size(12, 6),
		lines("Certificates", "证书", about{
			"Time until the certificate that a node presents to devices expires.", "节点对设备出示的证书的剩余有效期。",
		}, unitSeconds, q(`min by (node) (fanfare_certificate_expiry_timestamp_seconds{`+of+`}) - time()`, "{{node}}").
			orEmpty("nodes without TLS have no certificate")).digits(0).size(12, 6),
	}
}
