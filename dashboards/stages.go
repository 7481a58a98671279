package dashboards

// stages shows where messages spend their time and how they end, by node.
func stages() Dashboard {
	return Dashboard{
		UID: "fanfare-stages", Title: "Fanfare delivery detail / 投递明细", Grafana: Follower, Source: follower1Source, node: true,
		description: about{
			"Where messages spend their time, stage by stage, and how they end. Times are those of the process where a message came in: the chosen nodes, and the allocators always.",
			"消息在各阶段的耗时与结果。耗时由接收消息的进程测量：所选节点，以及始终包含的分配器。",
		},
		panels: append(append(stageTimes(), stageHeatmaps()...), stageOutcomes()...),
	}
}

func stageTimes() []panel {
	buckets := func(metric string) string { return rate(metric, ofEntry) }
	return []panel{
		row("Where the time goes", "时间花在哪里"),
		lines("Stages, 50 %", "各阶段中位数", about{
			"Median time to reach each stage from the stage before it: accepted, routed, forwarded to another node, queued, written, acknowledged.",
			"到达各阶段所需时间的中位数：接收、路由、转发、排队、写出、确认。",
		}, unitSeconds, q(quantile("0.5", "stage", buckets("fanfare_stage_duration_seconds_bucket")), "{{stage}}")).numbers(),
		lines("Stages, 99 %", "各阶段 99 分位", about{
			"99 % of the messages reached each stage from the one before it within this time.", "99 % 的消息在此时间内到达各阶段。",
		}, unitSeconds, q(quantile("0.99", "stage", buckets("fanfare_stage_duration_seconds_bucket")), "{{stage}}")).numbers(),
		lines("Delivery by kind of ack, 99 %", "各确认方式投递耗时 99 分位", about{
			"From accepting until sent (ack none) or acknowledged: by the SDK (auto) or by the application (biz).",
			"从接收到发送（none）或确认的耗时：SDK 自动确认（auto）或业务确认（biz）。",
		}, unitSeconds, q(quantile("0.99", "ack", buckets("fanfare_delivery_duration_seconds_bucket")), "{{ack}}")).rising(step{lateSeconds, red}),
		lines("Delivery by entry point, 99 %", "各入口投递耗时 99 分位", about{
			"From accepting until sent or acknowledged, for each process that accepted: allocators for the HTTP API, nodes for the gateway.",
			"各入口进程从接收到发送或确认的耗时：HTTP 接口为分配器，网关为节点。",
		}, unitSeconds, q(quantile("0.99", "job, instance", buckets("fanfare_delivery_duration_seconds_bucket")), "{{job}} {{instance}}")).rising(step{lateSeconds, red}),
		lines("Stages per second", "每秒到达各阶段", about{
			"Messages that reached each stage, per second. A stage that falls behind the one before it is where they wait.",
			"每秒到达各阶段的消息数，落后的阶段即堆积处。",
		}, unitPerSec, q(`sum by (stage) (`+buckets("fanfare_stage_duration_seconds_count")+`)`, "{{stage}}")).numbers(),
		lines("Mean time by stage", "各阶段平均耗时", about{
			"Mean time of each stage; stacked, they are the mean way of a message.", "各阶段平均耗时，堆叠即一条消息的平均全程。",
		}, unitSeconds, q(ratio(`sum by (stage) (`+buckets("fanfare_stage_duration_seconds_sum")+`)`, `sum by (stage) (`+buckets("fanfare_stage_duration_seconds_count")+`)`), "{{stage}}")).stacked(),
	}
}

func stageHeatmaps() []panel {
	of := func(metric, matchers string) query {
		return q(`sum by (le) (`+rate(metric, ofEntry+matchers)+`)`, "{{le}}")
	}
	return []panel{
		row("How it is spread", "耗时分布"),
		heatmap("Delivery time", "投递耗时", about{
			"Deliveries per second by the time they took; two bands are two kinds of way.", "每秒投递数按耗时分布，出现两条带说明存在两类路径。",
		}, unitSeconds, of("fanfare_delivery_duration_seconds_bucket", "")),
		heatmap("Forwarded", "转发", about{
			"Time from routed until another node had the message.", "从路由到另一节点收到消息的时间。",
		}, unitSeconds, of("fanfare_stage_duration_seconds_bucket", `,stage="forwarded"`)),
		heatmap("Written", "写出", about{
			"Time from queued until the message was written to the device's socket: slow devices show here.", "从排队到写入设备套接字的时间，慢设备在此显现。",
		}, unitSeconds, of("fanfare_stage_duration_seconds_bucket", `,stage="written"`)),
		heatmap("Acknowledged", "确认", about{
			"Time from written until the device acknowledged: the network and the device.", "从写出到设备确认的时间，反映网络与设备。",
		}, unitSeconds, of("fanfare_stage_duration_seconds_bucket", `,stage="acked"`)),
	}
}

func stageOutcomes() []panel {
	return []panel{
		row("How it ends", "如何结束"),
		lines("Deliveries by outcome", "投递结果", about{
			"Deliveries to connections per second by outcome; outcomes that did not happen in the last hour are left out.", "每秒投递数按结果，一小时内未出现的不显示。",
		}, unitPerSec, q(happened("outcome", "fanfare_deliveries_total", ofNode), "{{outcome}}")).stacked().paint(outcomePaint()),
		lines("Deliveries by node", "各节点投递", about{
			"Deliveries per second that each node brought to an end.", "各节点每秒完成的投递数。",
		}, unitPerSec, q(`sum by (node) (`+rate("fanfare_deliveries_total", ofNode)+`)`, "{{node}}")),
		lines("Bad ends by node", "各节点失败投递", about{
			"Deliveries per second that the objective counts as bad, by node and outcome.", "各节点每秒计入失败的投递，按结果。",
		}, unitPerSec, q(`sum by (node, outcome) (`+rate("fanfare_deliveries_total", ofNode+`,outcome=~"`+badOutcomes+`"`)+`)`, "{{node}} {{outcome}}")).numbers(),
		lines("In flight", "进行中", about{
			"Deliveries that have begun and not ended, by node.", "各节点已开始未结束的投递数。",
		}, unitCount, q(`sum by (node) (fanfare_deliveries_in_flight{`+ofNode+`})`, "{{node}}")),
		lines("Messages accepted by entry point", "各入口接收消息", about{
			"Messages that each process accepted, per second, allocators included, by where they came in.", "各进程（含分配器）每秒接收的消息数，按入口。",
		}, unitPerSec, q(happened("job, source, kind", "fanfare_messages_accepted_total", ofCluster), "{{job}} {{source}} {{kind}}").orEmpty("nothing was pushed in the last hour")).numbers(),
		lines("Messages by outcome", "消息结果", about{
			"How the messages that were accepted here ended, per second, allocators included.", "在此接收的消息（含分配器）每秒的结果。",
		}, unitPerSec, q(happened("outcome", "fanfare_messages_total", ofCluster), "{{outcome}}")).stacked().paint(outcomePaint()),
		lines("Ledger difference", "账目差额", about{
			"Accepted, less ended, in flight and stored, for each process. Anything but 0 that stays is a message lost or counted twice.",
			"每个进程：接收减去结束、进行中与已存。持续不为 0 即丢失或重复计数。",
		}, unitCount, q(`sum by (job, node) (cluster_node:fanfare_ledger_difference:sum{`+ofCluster+`})`, "{{job}} {{node}}")).anySign().digits(0),
		lines("Retried pushes", "重试推送", about{
			"Pushes per second that were tried again, because a link broke or a route was stale, by how the retry ended.", "每秒因链路或陈旧路由而重试的推送，按重试结果。",
		}, unitPerSec, q(`sum by (result) (`+rate("fanfare_pushes_retried_total", ofCluster)+`)`, "{{result}}")),
	}
}
