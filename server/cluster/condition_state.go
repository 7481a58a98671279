package cluster

// GivenUp reports that a condition made by [Compile] ran into its time limit, so that it
// holds for nobody any more. It is false for any other, and for nil.
func GivenUp(c Condition) bool {
	s, ok := c.(*script)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stuck
}
