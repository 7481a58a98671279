package cluster

import (
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
)

// maxWeight bounds how much text a condition may put together, in bytes. So no step of
// it takes long, also those that no time limit interrupts.
const maxWeight = 16 * maxFactBytes

// numberBytes is how long a number is as text, and true, false and null.
const numberBytes = 32

// weight is how long the text of a value can become, at most, or of what it is made of.
// It is asked after check has put calls with patterns in place, which hold a number where
// the pattern was.
func (r *reader) weight(e ast.Expression) int {
	switch e := e.(type) {
	case *ast.Identifier:
		return maxFactBytes
	case *ast.StringLiteral:
		return len(e.Value.String())
	case *ast.BinaryExpression:
		if e.Operator == token.PLUS {
			return capped(r.weight(e.Left) + r.weight(e.Right))
		}
		return r.heaviest(e.Left, e.Right)
	case *ast.ConditionalExpression:
		return r.heaviest(e.Test, e.Consequent, e.Alternate)
	case *ast.ArrayLiteral:
		total := 0
		for _, item := range e.Value {
			total = capped(total + r.weight(item) + 1)
		}
		return total
	case *ast.UnaryExpression:
		return r.weight(e.Operand)
	case *ast.OptionalChain:
		return r.weight(e.Expression)
	case *ast.Optional:
		return r.weight(e.Expression)
	case *ast.DotExpression:
		return r.weight(e.Left)
	case *ast.BracketExpression:
		return r.weight(e.Left)
	case *ast.CallExpression:
		return r.callWeight(e)
	}
	return numberBytes
}

// callWeight is that of the text of a result, or of an argument if it has more.
func (r *reader) callWeight(call *ast.CallExpression) int {
	arguments := r.heaviest(call.ArgumentList...)
	callee, ok := call.Callee.(*ast.DotExpression)
	if !ok {
		return arguments
	}
	own := r.weight(callee.Left)
	switch callee.Identifier.Name {
	case "split", splitCall: // a list as text has commas
		own *= 2
	case matchCall: // so have matches, and each group can be the whole text
		number, _ := call.ArgumentList[0].(*ast.NumberLiteral).Value.(int64)
		own *= 2 + r.patterns[number].groups
	case "toUpperCase", "toLowerCase":
		own *= 3 // one letter may become three
	case replaceCall:
		own *= 1 + len(call.ArgumentList[1].(*ast.StringLiteral).Value.String())
	case "replace":
		own += maxReplacement
	case "localeCompare": // it is slow
		own, arguments = 8*own, 8*arguments
	}
	return max(capped(own), arguments)
}

func (r *reader) heaviest(list ...ast.Expression) int {
	most := numberBytes
	for _, e := range list {
		most = max(most, r.weight(e))
	}
	return most
}

// capped keeps products of products from overflowing.
func capped(n int) int { return min(n, 1<<24) }
