package dashboards

// connections shows how devices come and go, over the whole cluster.
func connections() Dashboard {
	return Dashboard{
		UID: "fanfare-connections", Title: "Fanfare connections / 连接", Grafana: Leader, Source: leaderSource,
		description: about{
			"How devices come and go: opened, closed and why, storms, handshakes, connections that are too slow.",
			"设备如何上线与下线：新建、关闭及原因、风暴、握手、慢连接。",
		},
		panels: append(append(connectionNumbers(), connectionFlow()...), connectionTrouble()...),
	}
}

func connectionNumbers() []panel {
	opened, closed := fed("global:fanfare_connections_opened:rate5m"), fed("global:fanfare_connections_closed:rate5m")
	return []panel{
		row("Now", "现在"),
		stat("Connections", "连接数", about{
			"Devices that are connected now.", "当前连接的设备数。",
		}, unitCount, q(`sum(`+fed("global:fanfare_connections:sum")+`)`, "")).neutral().to(detail("fanfare-node")),
		stat("Opened per second", "每秒新建", about{
			"Connections accepted per second over five minutes.", "每秒接受的连接数（五分钟）。",
		}, unitEvents, q(`sum(`+opened+`)`, "")).neutral(),
		stat("Closed per second", "每秒关闭", about{
			"Connections that ended per second over five minutes, for whatever reason.", "每秒结束的连接数（五分钟，含所有原因）。",
		}, unitEvents, q(`sum(`+closed+`)`, "")).neutral(),
		stat("Session length", "会话时长", about{
			"Half of the connections that ended within the last five minutes had lasted longer. What still lasts does not count.",
			"最近五分钟内结束的连接中，有一半持续时间长于此值（不含仍在线的连接）。",
		}, unitSeconds, q(quantile("0.5", "", fed("global:fanfare_connection_duration_seconds_bucket:rate5m")), "").
			orEmpty("no connection ended in five minutes")).neutral().without("none ended / 无关闭"),
		stat("Heartbeats per second", "每秒心跳", about{
			"Heartbeats of devices per second over five minutes. They stop before the connections do.", "每秒设备心跳数（五分钟），会先于断线而减少。",
		}, unitEvents, q(`sum(`+fed("global:fanfare_heartbeats:rate5m")+`)`, "")).neutral(),
		stat("Slow connections", "慢连接", about{
			"Connections whose oldest waiting byte is older than ten seconds.", "最旧待发字节已超过十秒的连接数。",
		}, unitCount, q(`sum(`+fed("global:fanfare_slow_connections:sum", `over="10s"`)+`)`, "")).rising(step{1, yellow}, step{100, red}).
			to(detail("fanfare-node")),
	}
}

func connectionFlow() []panel {
	closed := "global:fanfare_connections_closed:rate5m"
	return []panel{
		row("Come and go", "上线与下线"),
		lines("Connections by transport", "各传输连接数", about{
			"Connected devices by transport: MPush's binary protocol and WebSocket, each with and without TLS.", "按传输方式的连接数：MPush 二进制与 WebSocket，含或不含 TLS。",
		}, unitCount, q(`sum by (transport) (`+fed("global:fanfare_connections:sum")+`)`, "{{transport}}")).stacked(),
		lines("Bound connections by client type", "各客户端类型已绑定连接", about{
			"Connections that belong to a user, by the class of the client. Those that are connected and not here have not bound.",
			"已绑定用户的连接数，按客户端类型。已连接而不在此处的尚未绑定。",
		}, unitCount, q(`sum by (client_type) (`+fed("global:fanfare_bound_connections:sum")+`)`, "{{client_type}}")).stacked(),
		lines("Opened and closed", "新建与关闭", about{
			"Connections that began and that ended, per second over five minutes. Both rise together in a reconnect loop.",
			"每秒新建与结束的连接数（五分钟）。二者同升即重连循环。",
		}, unitEvents, q(`sum(`+fed("global:fanfare_connections_opened:rate5m")+`)`, "opened / 新建"), q(`sum(`+fed(closed)+`)`, "closed / 关闭")),
		lines("Why connections ended", "关闭原因", about{
			"Ended connections by reason, per second over five minutes; reasons that did not happen in the last hour are left out. README.md lists the reasons.",
			"每秒关闭的连接数，按原因（五分钟），一小时内未出现的不显示。",
		}, unitEvents, q(lively("reason", closed), "{{reason}}").orEmpty("no connection ended in the last hour")).numbers(),
		lines("Storms: opened by node", "风暴：各节点新建", about{
			"Connections opened per second on each node over one minute. One node alone: devices were sent there; all at once: a network came back.",
			"各节点每秒新建连接（一分钟）。单节点升高为设备被引向该节点，同时升高为网络恢复。",
		}, unitEvents, q(`max by (node) (`+fed("cluster_node:fanfare_connections_opened:rate1m")+`)`, "{{node}}")).each(nodeDetail()),
		lines("Mass disconnects: closed by node", "大规模掉线：各节点关闭", about{
			"Connections closed per second on each node over one minute.", "各节点每秒关闭连接（一分钟）。",
		}, unitEvents, q(`max by (node) (`+fed("cluster_node:fanfare_connections_closed:rate1m")+`)`, "{{node}}")).each(nodeDetail()),
	}
}

func connectionTrouble() []panel {
	buckets := fed("global:fanfare_handshake_duration_seconds_bucket:rate5m")
	return []panel{
		row("Handshakes and slow consumers", "握手与慢消费者"),
		lines("Handshakes by result", "握手结果", about{
			"Handshakes per second over five minutes. \"overload\" is a node without room in the pool that does RSA.",
			"每秒握手数（五分钟）。overload 表示节点 RSA 池已满。",
		}, unitEvents, q(`sum by (result) (`+fed("global:fanfare_handshakes:rate5m")+`)`, "{{result}}")).
			paint(map[string]string{"ok": "green", "refused": "yellow", "failed": "red", "overload": "dark-red"}),
		lines("Handshakes by kind", "握手类型", about{
			"Full handshakes cost an RSA operation, fast ones resume a session without it, plain ones have no encryption of their own.",
			"full 需要一次 RSA 运算，fast 恢复会话无需 RSA，plain 无自身加密。",
		}, unitEvents, q(`sum by (kind) (`+fed("global:fanfare_handshakes:rate5m")+`)`, "{{kind}}")).stacked(),
		lines("Handshake time, 99 %", "握手耗时 99 分位", about{
			"99 % of the handshakes of each kind were answered within this time.", "各类握手中 99 % 在此时间内完成。",
		}, unitSeconds, q(quantile("0.99", "kind", buckets), "{{kind}}")).rising(step{1, red}),
		lines("Slow connections over time", "慢连接趋势", about{
			"Connections whose oldest waiting byte is older than this. Past the bound they are closed as slow_age.",
			"最旧待发字节超过相应时长的连接数，越限后以 slow_age 关闭。",
		}, unitCount, q(`sum by (over) (`+fed("global:fanfare_slow_connections:sum")+`)`, "{{over}}")),
		lines("Outbound queues", "出站队列", about{
			"Bytes that wait to be written to devices, over all nodes.", "所有节点上等待写给设备的字节数。",
		}, unitBytes, q(`sum(`+fed("global:fanfare_outbound_queue_bytes:sum")+`)`, "queued / 排队")).to(detail("fanfare-node")),
		lines("Heartbeats", "心跳", about{
			"Heartbeats per second over five minutes.", "每秒心跳数（五分钟）。",
		}, unitEvents, q(`sum(`+fed("global:fanfare_heartbeats:rate5m")+`)`, "heartbeats / 心跳")),
	}
}
