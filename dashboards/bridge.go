package dashboards

// infraBridge shows the bridge to DingTalk, robot by robot.
func infraBridge() []panel {
	quiet := "the bridge may not have asked DingTalk yet, or is in preview mode"
	return []panel{
		row("DingTalk bridge", "钉钉桥接"),
		lines("Webhooks from Alertmanager", "来自 Alertmanager 的请求", about{
			"Requests per second by target and what was done with them.", "每秒请求数，按目标与处理结果。",
		}, unitRequests, q(`sum by (target, result) (`+rate("fanfare_dingtalk_webhooks_total", ofCluster)+`)`, "{{target}} {{result}}")).numbers(),
		lines("Messages", "消息", about{
			"What became of messages, per second: sent, in a digest, shown in preview, given up, or dropped because resolved.", "每秒消息去向：已发、合并、预览、放弃、因恢复而丢弃。",
		}, unitEvents, q(`sum by (target, result) (`+rate("fanfare_dingtalk_notifications_total", ofCluster)+`)`, "{{target}} {{result}}")).numbers(),
		lines("Waiting messages", "待发消息", about{
			"Messages that wait, by target.", "按目标的待发消息数。",
		}, unitNone, q(`max by (target) (fanfare_dingtalk_queue_messages{`+ofCluster+`})`, "{{target}}")).digits(0).rising(step{100, yellow}),
		lines("Oldest waiting message", "最旧待发消息", about{
			"Age of the oldest message that waits, by target. Nothing is shown while nothing waits.", "按目标最旧待发消息的年龄，无排队时不显示。",
		}, unitSeconds, q(`time() - (max by (target) (fanfare_dingtalk_queue_oldest_timestamp_seconds{`+ofCluster+`}) > 0)`, "{{target}}").orEmpty("nothing has to wait")).rising(step{300, red}),
		lines("Answers of DingTalk", "钉钉应答", about{
			"Answers per second by error code; 0 is success, 130101 is too fast, 310000 a wrong signature, keyword or address.",
			"每秒应答数按错误码：0 成功，130101 过快，310000 签名、关键词或地址不符。",
		}, unitRequests, q(happened("robot, errcode", "fanfare_dingtalk_api_responses_total", ofCluster), "{{robot}} {{errcode}}").orEmpty(quiet)).numbers(),
		lines("Time to send, 99 %", "发送耗时 99 分位", about{
			"99 % of the requests to DingTalk were answered within this time.", "99 % 的钉钉请求在此时间内应答。",
		}, unitSeconds, q(quantile("0.99", "robot", rate("fanfare_dingtalk_send_duration_seconds_bucket", ofCluster)), "{{robot}}").orEmpty(quiet)),
		states("Robots", "机器人", about{
			"Robots that are disabled, because their address or secret is wrong.", "因地址或密钥错误而被停用的机器人。",
		}, []mapping{{"0", "ok / 正常", green}, {"1", "disabled / 停用", red}},
			q(`max by (robot) (fanfare_dingtalk_robot_disabled{`+ofCluster+`})`, "{{robot}}").orEmpty(quiet)).rising(step{1, red}),
		lines("Robots that are banned", "被封禁的机器人", about{
			"Time until DingTalk listens to a robot again; it bans for ten minutes whoever sends more than 20 a minute.", "距机器人解除封禁的时间，每分钟超过 20 条会被封禁十分钟。",
		}, unitSeconds, q(`max by (robot) (fanfare_dingtalk_robot_banned_until_timestamp_seconds{`+ofCluster+`} > time()) - time()`, "{{robot}}").orEmpty("no robot has to be banned")),
		lines("Last beat of the dead man's switch", "看门狗上次心跳", about{
			"Time since the Watchdog alert last came through. After three missed beats of 30 s the bridge tells people by itself.", "距 Watchdog 告警上次到达的时间，连缺三次（30 秒一次）桥接自行通知。",
		}, unitSeconds, q(`time() - (max by (name) (fanfare_dingtalk_deadman_last_beat_timestamp_seconds{`+ofCluster+`}) > 0)`, "{{name}}")).rising(step{60, yellow}, step{90, red}),
		lines("Given up, cut, failed", "放弃、截断、失败", about{
			"Dead letters, alerts cut from messages that were too long, templates that failed and errors of the spool on disk, per second.", "每秒死信、因过长被截的告警、模板失败与磁盘队列错误。",
		}, unitEvents, q(`sum(`+rate("fanfare_dingtalk_dead_letters_total", ofCluster)+`)`, "dead letters / 死信"),
			q(`sum(`+rate("fanfare_dingtalk_truncated_alerts_total", ofCluster)+`)`, "cut / 截断"),
			q(`sum(`+rate("fanfare_dingtalk_template_errors_total", ofCluster)+`)`, "templates / 模板"),
			q(`sum(`+rate("fanfare_dingtalk_spool_errors_total", ofCluster)+`)`, "spool / 磁盘队列")),
	}
}
