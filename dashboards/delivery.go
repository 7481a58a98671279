package dashboards

// delivery shows how messages end and how long they take, against what was promised.
func delivery() Dashboard {
	return Dashboard{
		UID: "fanfare-delivery", Title: "Fanfare delivery and SLO / 投递与服务目标", Grafana: Leader, Source: leaderSource,
		description: about{
			"How messages end and how long they take, against what was promised: 99.5 % delivered, 99 % within 0.99 s.",
			"消息的结果与耗时，对照承诺：99.5 % 投递成功，99 % 在 0.99 秒内。",
		},
		panels: append(append(deliveryNumbers(), deliveryBurn()...), deliveryFlow()...),
	}
}

func deliveryNumbers() []panel {
	return []panel{
		row("The promise", "承诺"),
		gauge("Delivered", "投递成功率", about{
			"Share of the judged messages of the last five minutes that were sent or acknowledged. Offline, expired, collapsed and filtered ones are not judged.",
			"最近五分钟计入目标的消息中已发送或已确认的比例，离线、过期、合并、过滤的不计。",
		}, unitRatio, 1, q(deliveredShare(), "")).from(0.95).digits(2).without("no traffic / 无流量").falling(step{0.99, yellow}, step{objectiveDelivered, green}),
		gauge("In time", "及时率", about{
			"Share of the deliveries of the last five minutes that took less than 0.99 s.", "最近五分钟在 0.99 秒内完成投递的比例。",
		}, unitRatio, 1, q(inTimeShare(), "")).from(0.9).digits(2).without("no traffic / 无流量").falling(step{0.97, yellow}, step{objectiveInTime, green}),
		stat("Delivery budget left", "投递预算剩余", about{
			"What is left of the failures that the objective of 99.5 % allows, over 30 days or as far as the data reach. Below 0 the promise was broken.",
			"三十天内（以现有数据为限）99.5 % 目标所允许的失败余额，小于 0 即已违约。",
		}, unitRatio, q(budgetLeft("delivery"), "")).newest().digits(1).without("no traffic / 无流量").
			falling(step{0, orange}, step{0.25, yellow}, step{0.5, green}).size(6, 7),
		stat("Latency budget left", "延迟预算剩余", about{
			"What is left of the late deliveries that the objective of 99 % within 0.99 s allows, over 30 days or as far as the data reach.",
			"三十天内（以现有数据为限）延迟目标所允许的超时余额。",
		}, unitRatio, q(budgetLeft("latency"), "")).newest().digits(1).without("no traffic / 无流量").
			falling(step{0, orange}, step{0.25, yellow}, step{0.5, green}).size(6, 7),
	}
}

func deliveryBurn() []panel {
	limits := []step{{1, yellow}, {burnSixHours, orange}, {burnHour, red}}
	return []panel{
		row("How fast the budget burns", "预算消耗速度"),
		lines("Delivery burn rate", "投递预算消耗速度", about{
			"How many times faster than allowed the budget for failures is used, over several windows. 1 uses it up exactly; 14.4 over an hour, 6 over six hours, 3 over a day and 1 over three days fire alerts.",
			"各时间窗内失败预算的消耗倍数。1 为刚好用完；一小时 14.4、六小时 6、一天 3、三天 1 触发告警。",
		}, unitNone, burn("delivery")...).digits(2).rising(limits...).numbers(),
		lines("Latency burn rate", "延迟预算消耗速度", about{
			"How many times faster than allowed the budget for late deliveries is used.", "各时间窗内超时预算的消耗倍数。",
		}, unitNone, burn("latency")...).digits(2).rising(limits...).numbers(),
	}
}

func deliveryFlow() []panel {
	delivery, stage := "global:fanfare_delivery_duration_seconds_bucket:rate5m", "global:fanfare_stage_duration_seconds_bucket:rate5m"
	messages, deliveries := "global:fanfare_messages:rate5m", "global:fanfare_deliveries:rate5m"
	return []panel{
		row("Messages", "消息"),
		lines("Accepted", "接收", about{
			"Messages accepted per second over five minutes, by where they came in and for how many they were.", "每秒接收的消息数（五分钟），按入口与类型。",
		}, unitPerSec, q(`sum by (source, kind) (`+fed("global:fanfare_messages_accepted:rate5m")+`)`, "{{source}} {{kind}}")).stacked(),
		lines("Messages by outcome", "消息结果", about{
			"How accepted messages ended, per second over five minutes; outcomes that did not happen in the last hour are left out.", "所接收消息每秒的结果（五分钟），一小时内未出现的不显示。",
		}, unitPerSec, q(lively("outcome", messages), "{{outcome}}")).stacked().paint(outcomePaint()).to(detail("fanfare-stages")),
		lines("Bad ends", "失败结果", about{
			"Outcomes that the objective counts as bad, per second over five minutes.", "计入失败的结果，每秒（五分钟）。",
		}, unitPerSec, q(`sum by (outcome) (`+fed(messages, `outcome=~"`+badOutcomes+`"`)+`)`, "{{outcome}}")).paint(outcomePaint()).to(detail("fanfare-stages")),
		lines("Deliveries by outcome", "投递结果", about{
			"How deliveries to single connections ended: a broadcast is one message and many deliveries.", "投递到单个连接的结果：一次广播是一条消息、多次投递。",
		}, unitPerSec, q(lively("outcome", deliveries), "{{outcome}}")).stacked().paint(outcomePaint()).to(detail("fanfare-stages")),
		row("Time", "耗时"),
		lines("Delivery time", "投递耗时", about{
			"Quantiles of the time from accepting a message until it was sent or acknowledged.", "消息从接收到发送或确认的耗时分位。",
		}, unitSeconds, q(quantile("0.5", "", fed(delivery)), "p50"), q(quantile("0.95", "", fed(delivery)), "p95"), q(quantile("0.99", "", fed(delivery)), "p99")).
			rising(step{lateSeconds, red}).to(detail("fanfare-stages")),
		lines("Delivery time by kind of ack, 99 %", "各确认方式投递耗时 99 分位", about{
			"None: until written; auto: until the SDK acknowledged; biz: until the application did.", "none 到写出，auto 到 SDK 确认，biz 到业务确认。",
		}, unitSeconds, q(quantile("0.99", "ack", fed(delivery)), "{{ack}}")).rising(step{lateSeconds, red}).to(detail("fanfare-stages")),
		lines("Stages, 99 %", "各阶段 99 分位", about{
			"99 % of the messages reached each stage from the one before it within this time.", "99 % 的消息在此时间内到达各阶段。",
		}, unitSeconds, q(quantile("0.99", "stage", fed(stage)), "{{stage}}")).to(detail("fanfare-stages")),
		row("What is on its way", "在途"),
		lines("In flight", "进行中", about{
			"Messages and deliveries that have begun and not ended.", "已开始未结束的消息与投递数。",
		}, unitCount, q(`sum(`+fed("global:fanfare_messages_in_flight:sum")+`)`, "messages / 消息"), q(`sum(`+fed("global:fanfare_deliveries_in_flight:sum")+`)`, "deliveries / 投递")),
		lines("Stored", "待投递", about{
			"Messages that wait in the store for devices that are away.", "等待离线设备的存储消息数。",
		}, unitCount, q(`sum(`+fed("global:fanfare_messages_stored:sum")+`)`, "stored / 待投递")),
		lines("Ledger difference", "账目差额", about{
			"Accepted, less ended, in flight and stored, for each process. Anything but 0 that stays is a message lost or counted twice.",
			"每个进程：接收减去结束、进行中与已存。持续不为 0 即丢失或重复计数。",
		}, unitCount, q(`sum by (job, node) (`+fed("cluster_node:fanfare_ledger_difference:sum")+`)`, "{{job}} {{node}}")).anySign().digits(0).to(detail("fanfare-stages")),
	}
}
