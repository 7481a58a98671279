package dashboards

// alerting shows the path of an alert, and of the numbers behind it.
func alerting() Dashboard {
	return Dashboard{
		UID: "fanfare-alerting", Title: "Fanfare alert path and federation / 告警链路与联邦", Grafana: Leader, Source: leaderSource,
		description: about{
			"Can the watchers be trusted? Federation, rules, Alertmanager, the DingTalk bridge and the dead man's switch.",
			"监控本身可信吗？联邦、规则、Alertmanager、钉钉桥接与看门狗。",
		},
		panels: append(append(alertingNumbers(), alertingFederation()...), alertingPath()...),
	}
}

func alertingNumbers() []panel {
	return []panel{
		row("Can it be trusted?", "监控可信吗"),
		stat("Followers up", "从 Prometheus", about{
			"Follower Prometheus servers that the leader could read at the last try.", "主上次成功读取的从 Prometheus。",
		}, unitNone, q(`max by (instance) (up{job="federate"})`, "{{instance}}")).mapped(upDown()...).falling(step{1, green}).size(8, 4),
		stat("Watchdog", "看门狗", about{
			"The alert that always fires. When it does not, no alert can be believed; the bridge then says so by itself.",
			"永远触发的告警。若不触发则所有告警不可信，桥接会自行通知。",
		}, unitNone, q(`max(ALERTS{alertname="Watchdog",alertstate="firing"}) or vector(0)`, "")).mapped(upDown()...).falling(step{1, green}),
		stat("Age of the data", "数据延迟", about{
			"Age of the oldest federated sample.", "最旧联邦样本的年龄。",
		}, unitSeconds, q(dataAge(), "")).digits(0).rising(step{60, yellow}, step{120, red}),
		stat("Waiting messages", "待发消息", about{
			"Messages that wait in the bridge to be sent to DingTalk.", "桥接中等待发往钉钉的消息数。",
		}, unitNone, q(`sum(`+fed("global:fanfare_dingtalk_queue_messages:sum")+`)`, "")).rising(step{20, yellow}, step{200, red}).
			to(detail("fanfare-infrastructure")),
		stat("Last message to DingTalk", "上次发送成功", about{
			"How long ago DingTalk took a message. A quiet day is long, too; in preview mode nothing is ever sent.",
			"距上次成功发往钉钉的时间。平静的日子也会很长；预览模式下从不发送。",
		}, unitSeconds, q(`time() - (max(`+fed("global:fanfare_dingtalk_last_success_timestamp_seconds:max")+`) > 0)`, "").
			orEmpty("nothing was sent yet, or the bridge is in preview mode")).digits(0).neutral().without("never / 从未"),
	}
}

func alertingFederation() []panel {
	return []panel{
		row("Federation", "联邦"),
		lines("Samples per federation scrape", "每次联邦样本数", about{
			"Series that each follower hands over. 0 is a wrong match[], which answers 200 all the same; near 20 000 the limit ends it.",
			"每个从交付的序列数。0 说明 match[] 有误；接近 20 000 会触及上限。",
		}, unitCount, q(`scrape_samples_post_metric_relabeling{job="federate"}`, "{{instance}}")).rising(step{15000, red}),
		lines("Duration of the federation scrape", "联邦耗时", about{
			"Time each follower took to answer. The leader gives up after ten seconds.", "每个从应答所需时间，十秒后放弃。",
		}, unitSeconds, q(`scrape_duration_seconds{job="federate"}`, "{{instance}}")).rising(step{5, red}),
		lines("Age of federated samples", "联邦样本年龄", about{
			"How old what each follower recorded is when the leader uses it. Up to 45 s is normal with intervals of 15 s.",
			"主使用时各从记录数据的年龄。间隔 15 秒时 45 秒以内正常。",
		}, unitSeconds, q(fed("global:fanfare_record_age_seconds:max"), "{{prometheus}} {{replica}}")).rising(step{60, red}),
		lines("Targets up", "正常目标比例", about{
			"Share of the targets of each job that are up, of all followers together.", "各作业正常目标的比例（所有从合计）。",
		}, unitRatio, q(`sum by (job) (`+fed("global:up:sum")+`) / sum by (job) (`+fed("global:up:count")+`)`, "{{job}}")).upTo(1).numbers(),
		lines("Probes", "探测", about{
			"Whether every probe of a kind succeeds: device, WebSocket and gateway ports of the nodes, allocators, Redis, ZooKeeper.",
			"每类探测是否全部成功：节点的设备、WebSocket、网关端口，分配器、Redis、ZooKeeper。",
		}, unitNone, q(`min by (job) (`+fed("global:probe_success:min")+`)`, "{{job}}")).upTo(1).to(detail("fanfare-infrastructure")),
		lines("Alerts by severity", "各级别告警", about{
			"Alerts that fire, by severity.", "正在触发的告警数，按级别。",
		}, unitNone, q(`count by (severity) (`+firing(`severity=~"critical|warning|info"`)+`)`, "{{severity}}").orEmpty("no alert has to fire")).digits(0).
			paint(map[string]string{"critical": "red", "warning": "orange", "info": "blue"}).stacked(),
	}
}

func alertingPath() []panel {
	return []panel{
		row("From Alertmanager to DingTalk", "从 Alertmanager 到钉钉"),
		lines("Alerts in Alertmanager", "Alertmanager 中的告警", about{
			"Alerts that Alertmanager holds: active ones, and those that are silenced or inhibited.", "Alertmanager 持有的告警：活动的与被静默或抑制的。",
		}, unitNone, q(`max by (state) (`+fed("global:alertmanager_alerts:max")+`)`, "{{state}}")).digits(0),
		lines("Notifications that failed", "通知失败", about{
			"Notifications per second that Alertmanager could not deliver, by kind of receiver. Must be 0.", "Alertmanager 每秒通知失败数，按接收类型，应为 0。",
		}, unitEvents, q(`sum by (integration) (`+fed("global:alertmanager_notifications_failed:rate5m", `integration="webhook"`)+`)`, "{{integration}}")).
			rising(step{0.0001, red}),
		lines("Messages to DingTalk", "钉钉消息", about{
			"What became of the bridge's messages, per second over five minutes.", "桥接消息每秒的去向（五分钟）。",
		}, unitEvents, q(`sum by (target, result) (`+fed("global:fanfare_dingtalk_notifications:rate5m")+`)`, "{{target}} {{result}}")).to(detail("fanfare-infrastructure")),
		lines("Waiting in the bridge", "桥接排队", about{
			"Messages that wait for the robot's limit of 20 a minute.", "等待机器人每分钟 20 条限额的消息数。",
		}, unitNone, q(`sum(`+fed("global:fanfare_dingtalk_queue_messages:sum")+`)`, "waiting / 排队")).digits(0).to(detail("fanfare-infrastructure")),
		firingTable().size(24, 8),
	}
}
