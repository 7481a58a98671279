package message

import (
	"text/template"
	"text/template/parse"
)

// clocked makes sure that no template runs for long without looking at the clock: an
// empty text at the head of each template and of each round of a loop is written too,
// and the output stops what takes too long. A loop that writes nothing would not be
// stopped otherwise, nor would templates that call each other millions of times.
func clocked(root *template.Template) {
	for _, t := range root.Templates() {
		if t.Tree != nil {
			clock(t.Tree.Root, true)
		}
	}
}

// clock puts the empty text at the head of the loops in a list, and of the list itself
// if it is to be looked at on its own. A list that has it stays as it is: it may be in use.
func clock(list *parse.ListNode, head bool) {
	if list == nil || head && hasClock(list) {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.IfNode:
			clock(n.List, false)
			clock(n.ElseList, false)
		case *parse.WithNode:
			clock(n.List, false)
			clock(n.ElseList, false)
		case *parse.RangeNode:
			clock(n.List, true)
			clock(n.ElseList, false)
		case *parse.ListNode:
			clock(n, false)
		}
	}
	if head {
		tick := &parse.TextNode{NodeType: parse.NodeText, Pos: list.Pos}
		list.Nodes = append([]parse.Node{tick}, list.Nodes...)
	}
}

func hasClock(list *parse.ListNode) bool {
	if len(list.Nodes) == 0 {
		return false
	}
	text, ok := list.Nodes[0].(*parse.TextNode)
	return ok && len(text.Text) == 0
}
