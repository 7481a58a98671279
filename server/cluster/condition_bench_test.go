package cluster

import (
	"fmt"
	"testing"
)

// BenchmarkCondition is the cost for each connection of a broadcast.
func BenchmarkCondition(b *testing.B) {
	facts := make([]Facts, 1000)
	for i := range facts {
		facts[i] = Facts{User: fmt.Sprint("user-", i), Tags: "vip,test", ClientVersion: "android-1.2.1", OSName: "android", OSVersion: "12"}
	}
	for _, text := range []string{
		`true`,
		`tags && tags.indexOf('vip') != -1`,
		`userId.startsWith("a") && clientVersion >= "1.2"`,
		`userId.substring(5) % 100 < 20`,
		`clientVersion.indexOf("android")!=-1 && clientVersion.replace(/[^\d]/g,"") > 20`,
		`/^user-\d+$/.test(userId)`,
	} {
		b.Run(text, func(b *testing.B) {
			c, err := Compile(text)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := range b.N {
				c.Match(facts[i%len(facts)])
			}
		})
	}
}
