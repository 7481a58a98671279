package message

import (
	"fmt"
	"hash/fnv"
	"io"
	"time"
)

// Sample is something to try templates with. One payload is for [Templates.Render],
// several for [Templates.Digest].
type Sample struct {
	// ID is a short name for addresses, Title one for people.
	ID, Title string
	Payloads  []*Payload
}

// Samples returns the samples, with times relative to now.
func (t *Templates) Samples() []Sample {
	now := t.words.now().UTC().Truncate(time.Second)
	title := t.words.pick
	nodes := make(Alerts, 12)
	for i := range nodes {
		nodes[i] = nodeDown(fmt.Sprintf("node-%d", i+1), now.Add(-time.Duration(i+1)*40*time.Second))
	}
	over := nodeDown("node-2", now.Add(-12*time.Minute-30*time.Second))
	over.Status, over.EndsAt = StatusResolved, now.Add(-10*time.Second)
	return []Sample{
		{"one", title("一个节点下线", "One node down"), []*Payload{group(nodes[1])}},
		{"few", title("几条不同的告警", "A few different alerts"), []*Payload{group(nodes[1], budgetBurn(now), redisMemory(now))}},
		{"many", title("许多节点下线", "Many nodes down"), []*Payload{group(append(append(Alerts{over}, nodes[2:]...), budgetBurn(now))...)}},
		{"resolved", title("已恢复", "Resolved"), []*Payload{group(over)}},
		{"digest", title("汇总", "Digest"), storm(now)},
		{"markup", title("标签里有 Markdown 和 HTML", "Markdown and HTML in labels"), []*Payload{group(markup(now))}},
		{"foreign", title("没有注解的告警", "An alert without annotations"), []*Payload{group(foreign(now))}},
	}
}

// group makes the payload that Alertmanager would send for alerts.
func group(alerts ...Alert) *Payload {
	p := &Payload{Version: "4", Receiver: "ding-ops", Status: StatusResolved, Alerts: alerts, GroupLabels: KV{}, CommonLabels: KV{}, CommonAnnotations: KV{},
		ExternalURL: "http://alertmanager:9093"}
	vs := make(views, len(alerts))
	for i, a := range alerts {
		vs[i].Alert = a
		if !a.Resolved() {
			p.Status = StatusFiring
		}
	}
	p.CommonLabels = common(vs)
	for _, name := range []string{"cluster", "node"} {
		if value := p.CommonLabels[name]; value != "" {
			p.GroupLabels[name] = value
		}
	}
	p.GroupKey = fmt.Sprintf("{}/{severity=~\"critical|warning\"}:{cluster=%q, node=%q}", p.GroupLabels["cluster"], p.GroupLabels["node"])
	return p
}

func sampleAlert(since time.Time, labels, annotations KV) Alert {
	a := Alert{Status: StatusFiring, Labels: labels, Annotations: annotations, StartsAt: since, GeneratorURL: "http://localhost:9099/graph?g0.expr=up+%3D%3D+0&g0.tab=1"}
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, identity(a)) // a hash takes everything
	a.Fingerprint = fmt.Sprintf("%016x", hash.Sum64())
	return a
}

const runbook = "https://github.com/fanfare-push/fanfare/blob/main/docs/RUNBOOK.md#"

func nodeDown(node string, since time.Time) Alert {
	return sampleAlert(since, KV{"alertname": "FanfareNodeDown", "severity": "critical", "component": "fanfare", "cluster": "fanfare", "node": node,
		"instance": node + ":9310", "job": "fanfare-node"}, KV{
		"summary": "Node " + node + " does not answer", "summary_zh": "节点 " + node + " 没有应答",
		"description":    "The operations port of " + node + " has not answered for 30 s. Its devices are connecting to the other nodes; messages in flight to it end as node_lost.",
		"description_zh": node + " 的运维端口已 30 秒没有应答。它的设备正在改连其他节点，发往它的消息会以 node_lost 结束。先看主机和进程是否还在。",
		"runbook_url":    runbook + "fanfarenodedown", "grafana": "follower", "dashboard": "/d/fanfare-node?var-cluster=fanfare&var-node=" + node})
}

func budgetBurn(now time.Time) Alert {
	return sampleAlert(now.Add(-4*time.Minute), KV{"alertname": "FanfareDeliveryBudgetBurn", "severity": "warning", "component": "fanfare", "cluster": "fanfare", "window": "6h"}, KV{
		"summary": "Deliveries fail 6.2 times faster than the budget allows", "summary_zh": "投递失败的速度是预算的 6.2 倍",
		"description": "3.1 % of deliveries failed in the last 6 h, 0.5 % is allowed.", "description_zh": "最近 6 小时有 3.1 % 的投递失败，预算是 0.5 %。按这个速度，一个月的预算 5 天用完。",
		"runbook_url": runbook + "fanfaredeliverybudgetburn", "grafana": "leader", "dashboard": "/d/fanfare-delivery?var-cluster=fanfare"})
}

func redisMemory(now time.Time) Alert {
	return sampleAlert(now.Add(-26*time.Hour), KV{"alertname": "RedisMemoryHigh", "severity": "info", "component": "redis", "cluster": "fanfare", "instance": "redis:6379"}, KV{
		"summary": "Redis uses 87 % of its memory", "summary_zh": "Redis 内存用到 87 %",
		"description": "At 100 % it takes no more writes and no device can log in.", "description_zh": "到 100 % 时 Redis 不再接受写入，设备无法登录。",
		"runbook_url": runbook + "redismemoryhigh", "grafana": "leader", "dashboard": "/d/fanfare-cluster?var-cluster=fanfare"})
}

func markup(now time.Time) Alert {
	return sampleAlert(now.Add(-90*time.Second), KV{"alertname": "Disk_*Full*", "severity": "warning", "instance": "[host](http://evil.example) <img src=x>", "path": "/var/`lib`/__data__"}, KV{
		"summary":     "# 1. **Not** bold, [not a link](javascript:alert(1)) <b>not</b> & a\n> quote",
		"description": "- not a list\n- a < b && c > d, 5 &lt; 6\n<script>alert('x')</script>",
		"runbook_url": "javascript:alert(1)", "dashboard": "https://grafana.example/d/x?q=a b)c"})
}

func foreign(now time.Time) Alert {
	return sampleAlert(now.Add(-time.Hour), KV{"alertname": "KubePodCrashLooping", "severity": "page", "namespace": "shop", "pod": "cart-5c9d8-x2x7k", "job": "kube-state-metrics"}, KV{})
}

// storm is what waits when everything happens at once.
func storm(now time.Time) []*Payload {
	var list []*Payload
	for i := range 24 {
		node := nodeDown(fmt.Sprintf("node-%d", i+1), now.Add(-time.Duration(i*7)*time.Second))
		host := sampleAlert(now.Add(-time.Duration(i*9)*time.Second), KV{"alertname": "HostMemoryLow", "severity": "warning", "component": "host", "cluster": "fanfare", "instance": fmt.Sprintf("host-%d:9100", i+1)},
			KV{"summary": fmt.Sprintf("host-%d has 6 %% of its memory left", i+1), "summary_zh": fmt.Sprintf("主机 host-%d 内存只剩 6 %%", i+1)})
		if i%5 == 4 {
			host.Status, host.EndsAt = StatusResolved, now.Add(-time.Duration(i)*time.Second)
		}
		list = append(list, group(node), group(host))
	}
	return list
}
