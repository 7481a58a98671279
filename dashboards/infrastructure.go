package dashboards

// infrastructure shows the machines, what Fanfare leans on, and the watchers themselves.
func infrastructure() Dashboard {
	return Dashboard{
		UID: "fanfare-infrastructure", Title: "Fanfare infrastructure / 基础设施", Grafana: Follower, Source: follower2Source,
		description: about{
			"Machines, Redis, probes of every public port, and the watchers: Prometheus, Alertmanager, the DingTalk bridge.",
			"主机、Redis、对外端口探测，以及监控自身：Prometheus、Alertmanager、钉钉桥接。",
		},
		panels: append(append(append(append(infraNumbers(), infraHost()...), infraRedis()...), infraProbes()...), append(infraWatchers(), infraBridge()...)...),
	}
}

func infraNumbers() []panel {
	return []panel{
		row("Now", "现在"),
		stat("Targets down", "异常目标", about{
			"Targets of this Prometheus that it cannot read.", "本 Prometheus 无法读取的目标数。",
		}, unitNone, q(`count(up{`+ofCluster+`} == 0) or vector(0)`, "")).rising(step{1, red}),
		stat("Probes that fail", "失败的探测", about{
			"Public ports that do not answer from outside.", "从外部探测无应答的端口数。",
		}, unitNone, q(`count(probe_success{`+ofCluster+`} == 0) or vector(0)`, "")).rising(step{1, red}),
		stat("Redis", "Redis 存储", about{"Whether Redis answers.", "Redis 是否应答。"}, unitNone, q(`min(redis_up{`+ofCluster+`})`, "")).
			mapped(upDown()...).falling(step{1, green}),
		stat("ZooKeeper", "ZooKeeper 注册中心", about{
			"Whether the port of every ZooKeeper server answers. fanfare-routes has the rest.", "各 ZooKeeper 端口是否应答，其余见集群与路由明细。",
		}, unitNone, q(`min(probe_success{`+ofCluster+`,job="blackbox-zookeeper"})`, "")).mapped(upDown()...).falling(step{1, green}),
		stat("Alertmanager", "Alertmanager 配置", about{
			"Whether Alertmanager took over its configuration at the last load.", "Alertmanager 上次加载配置是否成功。",
		}, unitNone, q(`min(alertmanager_config_last_reload_successful{`+ofCluster+`})`, "")).
			mapped(mapping{"0", "old configuration / 旧配置", red}, mapping{"1", "ok / 正常", green}).falling(step{1, green}),
		stat("DingTalk bridge", "钉钉桥接", about{
			"Whether the bridge is up.", "桥接是否存活。",
		}, unitNone, q(`min(up{`+ofCluster+`,job="dingtalk"})`, "")).mapped(upDown()...).falling(step{1, green}),
	}
}

func infraHost() []panel {
	of := `job="host",` + ofCluster
	disks := of + `,fstype!~"tmpfs|overlay|squashfs|iso9660|ramfs"`
	return []panel{
		row("Machines", "主机"),
		lines("CPU in use", "CPU 使用率", about{
			"Share of each machine's cores that is busy.", "各主机 CPU 使用率。",
		}, unitRatio, q(`1 - avg by (instance) (`+rate("node_cpu_seconds_total", of+`,mode="idle"`)+`)`, "{{instance}}")).upTo(1).rising(step{0.85, red}),
		lines("Memory in use", "内存使用率", about{
			"Share of each machine's memory that programs could not get, per machine and never summed.", "各主机不可再分配的内存比例，按主机而不求和。",
		}, unitRatio, q(`1 - max by (instance) (node_memory_MemAvailable_bytes{`+of+`} / node_memory_MemTotal_bytes{`+of+`})`, "{{instance}}")).upTo(1).rising(step{0.9, red}),
		lines("Load per core", "每核负载", about{
			"Mean number of programs that want a core, over five minutes, by core. Over 1 some wait.", "五分钟平均负载除以核数，大于 1 即有等待。",
		}, unitNone, q(`max by (instance) (node_load5{`+of+`}) / count by (instance) (node_cpu_seconds_total{`+of+`,mode="idle"})`, "{{instance}}")).digits(2).rising(step{2, yellow}),
		lines("Disk in use", "磁盘使用率", about{
			"Share of each file system that is full.", "各文件系统使用率。",
		}, unitRatio, q(`1 - max by (instance, mountpoint) (node_filesystem_avail_bytes{`+disks+`} / (node_filesystem_size_bytes{`+disks+`} > 0))`, "{{instance}} {{mountpoint}}").
			orEmpty("a machine may have none but temporary file systems")).upTo(1).rising(step{0.85, yellow}, step{0.95, red}).numbers(),
		lines("Network", "网络", about{
			"Bytes per second that each machine received and sent, without loopback.", "各主机每秒收发字节数（不含回环）。",
		}, unitByteRate, q(`sum by (instance) (`+rate("node_network_receive_bytes_total", of+`,device!="lo"`)+`)`, "{{instance}} in / 收"),
			q(`sum by (instance) (`+rate("node_network_transmit_bytes_total", of+`,device!="lo"`)+`)`, "{{instance}} out / 发")),
		lines("Open files", "打开文件", about{
			"Share of the machine's file descriptors that is in use.", "主机文件描述符使用率。",
		}, unitRatio, q(`max by (instance) (node_filefd_allocated{`+of+`} / node_filefd_maximum{`+of+`})`, "{{instance}}")).rising(step{0.8, red}),
		lines("Clock", "时钟", about{
			"Offset of each machine's clock from its time server.", "各主机时钟与时间服务器的偏差。",
		}, unitSeconds, q(`max by (instance) (node_timex_offset_seconds{`+of+`})`, "{{instance}}")).anySign(),
		lines("TCP retransmits and overflows", "TCP 重传与溢出", about{
			"Segments sent again, and connections lost because a listener's queue was full, per second.", "每秒重传的报文段与因监听队列满而丢失的连接。",
		}, unitEvents, q(`max by (instance) (`+rate("node_netstat_Tcp_RetransSegs", of)+`)`, "{{instance}} retransmits / 重传"),
			q(`max by (instance) (`+rate("node_netstat_TcpExt_ListenOverflows", of)+`)`, "{{instance}} overflows / 溢出")),
	}
}

func infraRedis() []panel {
	of := `job="redis",` + ofCluster
	return []panel{
		row("Redis", "Redis 存储"),
		lines("Commands", "命令", about{
			"Commands per second.", "每秒命令数。",
		}, unitPerSec, q(`sum by (instance) (`+rate("redis_commands_processed_total", of)+`)`, "{{instance}}")),
		lines("Time per command", "每命令耗时", about{
			"Mean time of each command; those of Lua scripts are eval and evalsha.", "各命令平均耗时，Lua 脚本为 eval 与 evalsha。",
		}, unitSeconds, q(ratio(`sum by (cmd) (`+rate("redis_commands_duration_seconds_total", of)+`)`, `sum by (cmd) (`+rate("redis_commands_total", of)+`)`), "{{cmd}}")).numbers(),
		lines("Memory", "内存", about{
			"Memory that Redis uses, and its limit if it has one.", "Redis 已用内存与上限（如有）。",
		}, unitBytes, q(`max by (instance) (redis_memory_used_bytes{`+of+`})`, "{{instance}} used / 已用"),
			q(`max by (instance) (redis_memory_max_bytes{`+of+`} > 0)`, "{{instance}} limit / 上限").orEmpty("Redis may have no limit")),
		lines("Clients", "客户端", about{
			"Connected clients, and those that wait in a blocking command.", "已连接的客户端与阻塞等待者。",
		}, unitNone, q(`max by (instance) (redis_connected_clients{`+of+`})`, "{{instance}} connected / 已连接"),
			q(`max by (instance) (redis_blocked_clients{`+of+`})`, "{{instance}} blocked / 阻塞")).digits(0),
		lines("Keys", "键", about{
			"Keys in each database that has any, and those that expire.", "各数据库的键数与会过期的键数。",
		}, unitCount, q(`sum by (db) (redis_db_keys{`+of+`} > 0)`, "{{db}} keys / 键").orEmpty("a fresh Redis has no key"),
			q(`sum by (db) (redis_db_keys_expiring{`+of+`} > 0)`, "{{db}} expiring / 会过期").orEmpty("no key has to expire")),
		lines("Refused and evicted", "拒绝与逐出", about{
			"Connections refused, keys evicted because memory was full, per second. Must be 0.", "每秒拒绝的连接与因内存满逐出的键，应为 0。",
		}, unitEvents, q(`sum(`+rate("redis_rejected_connections_total", of)+`)`, "refused / 拒绝"), q(`sum(`+rate("redis_evicted_keys_total", of)+`)`, "evicted / 逐出")).
			rising(step{0.0001, red}),
	}
}

func infraProbes() []panel {
	of := ofCluster
	return []panel{
		row("Probes", "探测"),
		states("Ports from outside", "外部端口探测", about{
			"Whether each public port answers: devices, WebSocket and gateway of the nodes, allocators, Redis, ZooKeeper.", "各对外端口是否应答。",
		}, upDown(), q(`min by (job, instance) (probe_success{`+of+`})`, "{{job}} {{instance}}")).falling(step{1, green}).size(12, 12),
		lines("Probe time", "探测耗时", about{
			"Time each probe took.", "各探测耗时。",
		}, unitSeconds, q(`max by (job, instance) (probe_duration_seconds{`+of+`})`, "{{job}} {{instance}}")).numbers().rising(step{1, red}).size(12, 6),
		lines("Certificates seen from outside", "外部可见证书", about{
			"Time until the first certificate in the chain that a port presents expires.", "端口所出示证书链中最早到期证书的剩余时间。",
		}, unitSeconds, q(`min by (job, instance) (probe_ssl_earliest_cert_expiry{`+of+`}) - time()`, "{{job}} {{instance}}").orEmpty("ports without TLS have no certificate")).
			digits(0).size(12, 6),
	}
}

func infraWatchers() []panel {
	of := `job="prometheus",` + ofCluster
	return []panel{
		row("Watchers", "监控自身"),
		states("Targets", "目标", about{
			"Whether each target of this Prometheus can be read.", "本 Prometheus 的各目标是否可读。",
		}, upDown(), q(`min by (job, instance) (up{`+ofCluster+`,job!~"blackbox-.+"})`, "{{job}} {{instance}}")).falling(step{1, green}),
		lines("Scrape time", "抓取耗时", about{
			"Longest time that a target of each job took to answer.", "各作业目标的最长抓取耗时。",
		}, unitSeconds, q(`max by (job) (scrape_duration_seconds{`+ofCluster+`})`, "{{job}}")).numbers(),
		lines("Prometheus: series in memory", "Prometheus 内存序列", about{
			"Series that each Prometheus keeps in memory.", "各 Prometheus 内存中的序列数。",
		}, unitCount, q(`max by (prometheus) (prometheus_tsdb_head_series{`+of+`})`, "{{prometheus}}")),
		lines("Prometheus: samples", "Prometheus 样本", about{
			"Samples per second that each Prometheus takes in.", "各 Prometheus 每秒写入样本数。",
		}, unitPerSec, q(`max by (prometheus) (`+rate("prometheus_tsdb_head_samples_appended_total", of)+`)`, "{{prometheus}}")),
		lines("Prometheus: rules", "Prometheus 规则", about{
			"Longest time that a group of rules took. Past 15 s evaluations are missed.", "规则组最长执行耗时，超过 15 秒会漏执行。",
		}, unitSeconds, q(`max by (prometheus) (prometheus_rule_group_last_duration_seconds{`+of+`})`, "{{prometheus}}")).rising(step{10, red}),
		lines("Prometheus: what fails", "Prometheus 失败", about{
			"Rule evaluations, reloads and notifications that failed, per second. Must be 0.", "每秒失败的规则执行与通知，应为 0。",
		}, unitEvents, q(`sum by (prometheus) (`+rate("prometheus_rule_evaluation_failures_total", of)+`)`, "{{prometheus}} rules / 规则"),
			q(`sum by (prometheus) (`+rate("prometheus_notifications_errors_total", of)+`)`, "{{prometheus}} notifications / 通知"),
			q(`sum by (prometheus) (`+rate("prometheus_notifications_dropped_total", of)+`)`, "{{prometheus}} dropped / 丢弃")).rising(step{0.0001, red}).numbers(),
		lines("Memory of the watchers", "监控组件内存", about{
			"Resident memory of each Prometheus, Alertmanager, exporter, Grafana and the bridge.", "各 Prometheus、Alertmanager、导出器、Grafana 与桥接的常驻内存。",
		}, unitBytes, q(`max by (job, instance) (process_resident_memory_bytes{`+ofCluster+`})`, "{{job}} {{instance}}")).numbers(),
		lines("Alertmanager: alerts", "Alertmanager 告警", about{
			"Alerts by state, and silences that hold.", "按状态的告警数与生效的静默数。",
		}, unitNone, q(`max by (state) (alertmanager_alerts{`+ofCluster+`})`, "{{state}}"), q(`max(alertmanager_silences{`+ofCluster+`,state="active"})`, "silences / 静默")).digits(0),
		lines("Alertmanager: notifications", "Alertmanager 通知", about{
			"Notifications to webhooks per second, and those that failed.", "每秒 webhook 通知数与失败数。",
		}, unitEvents, q(`sum(`+rate("alertmanager_notifications_total", ofCluster+`,integration="webhook"`)+`)`, "sent / 已发"),
			q(`sum(`+rate("alertmanager_notifications_failed_total", ofCluster+`,integration="webhook"`)+`)`, "failed / 失败")).paint(map[string]string{"failed / 失败": "red"}),
	}
}
