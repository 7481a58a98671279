// Package e2e tests the whole product: nodes, allocator, SDKs and console together.
package e2e

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
