package dashboards

// overview answers in ten seconds whether all is well.
func overview() Dashboard {
	return Dashboard{
		UID: "fanfare-overview", Title: "Fanfare overview / 总览", Grafana: Leader, Source: leaderSource,
		description: about{
			"Is it well? The first row answers in ten seconds; below it, what moves and what fires.",
			"一切正常吗？第一行十秒内回答；下面是流量与正在触发的告警。",
		},
		panels: append(overviewNumbers(), overviewTrends()...),
	}
}

func overviewNumbers() []panel {
	return []panel{
		row("Is it well?", "是否健康"),
		stat("Critical alerts", "严重告警", about{
			"Critical alerts that fire now, of the leader and of all followers. Anything but 0 needs somebody now.",
			"正在触发的严重告警数（主与从）。非 0 即需立即处理。",
		}, unitNone, q(`count(`+firing(`severity="critical"`)+`) or vector(0)`, "")).
			rising(step{1, red}).to(here("Alerts / 告警", "fanfare-alerting")),
		stat("Warnings", "警告", about{
			"Warnings that fire now. They are for today, not for tonight.",
			"正在触发的警告数，当天处理即可。",
		}, unitNone, q(`count(`+firing(`severity="warning"`)+`) or vector(0)`, "")).
			rising(step{1, yellow}).to(here("Alerts / 告警", "fanfare-alerting")),
		stat("Delivered", "投递成功率", about{
			"Share of the judged messages of the last five minutes that were sent or acknowledged. The objective is 99.5 %.",
			"最近五分钟计入目标的消息中已发送或已确认的比例，目标 99.5 %。",
		}, unitRatio, q(deliveredShare(), "")).digits(2).without("no traffic / 无流量").
			falling(step{0.99, yellow}, step{objectiveDelivered, green}).to(here("Delivery / 投递", "fanfare-delivery")),
		stat("In time", "及时率", about{
			"Share of the deliveries of the last five minutes that took less than 0.99 s. The objective is 99 %.",
			"最近五分钟在 0.99 秒内完成投递的比例，目标 99 %。",
		}, unitRatio, q(inTimeShare(), "")).digits(2).without("no traffic / 无流量").
			falling(step{0.97, yellow}, step{objectiveInTime, green}).to(here("Delivery / 投递", "fanfare-delivery")),
		stat("Nodes that serve", "服务中的节点", about{
			"Push nodes that allocators give to devices. Red when there is none.",
			"分配器会分给设备的推送节点数，为 0 时变红。",
		}, unitNone, q(`max(`+fed("global:fanfare_cluster_nodes:max", `state="serving"`)+`)`, "")).
			falling(step{1, green}).to(here("Cluster / 集群", "fanfare-cluster")),
		stat("Followers up", "从 Prometheus", about{
			"Share of the follower Prometheus servers that the leader can read. Below 1 the numbers on this page lack a part.",
			"主 Prometheus 能读到的从 Prometheus 比例，小于 1 说明本页缺一部分数据。",
		}, unitRatio, q(`avg(up{job="federate"})`, "")).falling(step{0.01, yellow}, step{1, green}).
			to(here("Alert path / 告警链路", "fanfare-alerting")),

		stat("Connections", "连接数", about{
			"Devices that are connected now, over all transports.",
			"当前所有传输方式的设备连接总数。",
		}, unitCount, q(`sum(`+fed("global:fanfare_connections:sum")+`)`, "")).neutral().
			to(here("Connections / 连接", "fanfare-connections")),
		stat("Deliveries per second", "每秒投递", about{
			"Deliveries to devices per second that ended well, averaged over five minutes.",
			"每秒成功投递到设备的次数（五分钟平均）。",
		}, unitPerSec, q(`sum(`+fed("global:fanfare_deliveries:rate5m", `outcome=~"`+goodOutcomes+`"`)+`)`, "")).neutral().
			to(here("Delivery / 投递", "fanfare-delivery")),
		stat("Slowest canary", "最慢金丝雀", about{
			"The longest of the newest round trips from every entry point to every node's own device. A device would feel the same.",
			"各入口到各节点金丝雀设备的最近往返中最慢的一个，等同设备的体感。",
		}, unitSeconds, q(`max(`+fed("global:fanfare_canary_seconds:max")+`)`, "")).rising(step{0.25, yellow}, step{lateSeconds, red}).
			to(detail("fanfare-routes")),
		stat("Canaries lost", "金丝雀丢失", about{
			"Canary pushes that were lost, as a share of those sent in five minutes. Must be 0.",
			"五分钟内丢失的金丝雀推送比例，应为 0。",
		}, unitRatio, q(canaryLossShare(), "")).digits(1).rising(step{0.0001, yellow}, step{0.05, red}).to(detail("fanfare-routes")),
		stat("Stored messages", "待投递消息", about{
			"Messages that wait in the store for devices that are away.",
			"等待离线设备上线的存储消息数。",
		}, unitCount, q(`sum(`+fed("global:fanfare_messages_stored:sum")+`)`, "")).neutral().to(here("Delivery / 投递", "fanfare-delivery")),
		stat("Age of the data", "数据延迟", about{
			"Age of the oldest federated sample. Over a minute the leader looks at the past.",
			"联邦数据中最旧样本的年龄，超过一分钟说明主看到的是过去。",
		}, unitSeconds, q(dataAge(), "")).digits(0).rising(step{60, yellow}, step{120, red}).
			to(here("Alert path / 告警链路", "fanfare-alerting")),
	}
}

func overviewTrends() []panel {
	return []panel{
		row("What moves", "流量"),
		lines("Messages by outcome", "消息结果", about{
			"How messages ended, per second over five minutes; outcomes that did not happen in the last hour are left out.",
			"每秒各结果的消息数（五分钟），一小时内未出现的结果不显示。",
		}, unitPerSec, q(lively("outcome", "global:fanfare_messages:rate5m"), "{{outcome}}")).
			stacked().paint(outcomePaint()).to(here("Delivery / 投递", "fanfare-delivery")),
		lines("Connections by transport", "各传输连接数", about{
			"Connected devices by transport. A step down is a mass disconnect, a step up the storm after it.",
			"按传输方式的连接数。骤降即大规模掉线，骤升即随后的重连风暴。",
		}, unitCount, q(`sum by (transport) (`+fed("global:fanfare_connections:sum")+`)`, "{{transport}}")).stacked().
			to(here("Connections / 连接", "fanfare-connections")),
		lines("Delivery time", "投递耗时", about{
			"Quantiles of the time from accepting a message until it was sent or acknowledged. The line is the objective, 0.99 s for 99 %.",
			"消息从接收到发送或确认的耗时分位。虚线为目标：99 % 在 0.99 秒内。",
		}, unitSeconds,
			q(quantile("0.5", "", fed("global:fanfare_delivery_duration_seconds_bucket:rate5m")), "p50"),
			q(quantile("0.95", "", fed("global:fanfare_delivery_duration_seconds_bucket:rate5m")), "p95"),
			q(quantile("0.99", "", fed("global:fanfare_delivery_duration_seconds_bucket:rate5m")), "p99")).
			rising(step{lateSeconds, red}).to(here("Delivery / 投递", "fanfare-delivery")),
		lines("Nodes by state", "节点状态", about{
			"Nodes that serve, drain or were lost, as the allocators see them.",
			"分配器看到的服务中、排空中与丢失的节点数。",
		}, unitNone, q(`max by (state) (`+fed("global:fanfare_cluster_nodes:max")+`)`, "{{state}}")).digits(0).paint(statePaint()).
			to(here("Cluster / 集群", "fanfare-cluster")),
		row("What fires", "告警"),
		firingTable().size(24, 8),
	}
}

// firing selects alerts that fire, of all Prometheus servers; what several of them or
// their replicas say is counted once.
func firing(matchers string) string {
	return `max without (prometheus, replica) (ALERTS{` + ofCluster + `,alertstate="firing",alertname!="Watchdog",` + matchers + `})`
}

func firingTable() panel {
	return table("Alerts that fire", "正在触发的告警", about{
		"Every alert that fires, of the leader and of the followers. Empty when all is well; the names are headings in docs/RUNBOOK.md.",
		"主与从上正在触发的全部告警。正常时为空；名称即 docs/RUNBOOK.md 的标题。",
	}, unitText, q(`max by (alertname, severity, component, node, instance) (`+firing(`severity!="none"`)+`)`, "").orEmpty("no alert has to fire")).
		hide("Value").sorted("Severity / 级别").without("nothing fires / 无告警").
		rename(map[string]string{
			"alertname": "Alert / 告警", "severity": "Severity / 级别", "component": "Component / 组件", "node": "Node / 节点", "instance": "Instance / 实例",
		}).
		with(column{name: "Severity / 级别", maps: []mapping{
			{"critical", "critical / 严重", red}, {"warning", "warning / 警告", orange}, {"info", "info / 提示", blue},
		}}, column{name: "Node / 节点", links: []link{{
			"Node / 节点", "${follower_url}/d/fanfare-node?var-cluster=${cluster}&var-node=${__value.raw}&${__url_time_range}",
		}}}, column{name: "Alert / 告警", links: []link{{
			"Runbook / 处理手册", "https://github.com/fanfare-push/fanfare/blob/main/docs/RUNBOOK.md",
		}}})
}
