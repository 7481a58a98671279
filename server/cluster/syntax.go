package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"
)

// A condition is one expression out of a part of JavaScript that cannot do harm. The
// language as a whole can: one step of it, which no time limit interrupts, may take
// all memory or search for hours, and many a name leads back to the functions that do.
// What is left takes memory and time in proportion to the text and the facts.

// methods may be called on a value; none makes much out of little.
var methods = []string{
	"indexOf", "lastIndexOf", "includes", "startsWith", "endsWith", "charAt", "charCodeAt", "substring", "substr", "slice",
	"split", "match", "search", "test", "replace", "trim", "toLowerCase", "toUpperCase", "toString", "localeCompare",
	"floor", "ceil", "round", "abs", "min", "max",
}

// functions may be called by their name.
var functions = []string{"parseInt", "parseFloat", "Number", "String", "Boolean", "isNaN", "isFinite"}

// maxReplacement bounds what replace puts in for a match, in bytes.
const maxReplacement = 32

// parse reads a condition and checks that it is of the part that is allowed. The
// parser must not follow source maps: they name files of this machine.
func parse(text string) (*ast.Program, error) {
	program, err := parser.ParseFile(nil, "condition", text, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, err
	}
	if len(program.Body) != 1 {
		return nil, errors.New("it must be one expression")
	}
	statement, ok := program.Body[0].(*ast.ExpressionStatement)
	if !ok {
		return nil, refuse(program, program.Body[0], "a statement")
	}
	return program, check(program, statement.Expression)
}

// refuse says what is not allowed, and where it stands.
func refuse(program *ast.Program, at ast.Node, what string) error {
	p := program.File.Position(int(at.Idx0()) - program.File.Base())
	return fmt.Errorf("%d:%d: %s is not allowed; write one expression of comparisons, arithmetic, literals and the methods %s",
		p.Line, p.Column, what, strings.Join(methods, ", "))
}

// check descends into an expression.
func check(program *ast.Program, e ast.Expression) error {
	switch e := e.(type) {
	case *ast.Identifier, *ast.NullLiteral, *ast.BooleanLiteral, *ast.StringLiteral:
		return nil
	case *ast.NumberLiteral:
		if strings.HasSuffix(e.Literal, "n") {
			return refuse(program, e, "a BigInt")
		}
		return nil
	case *ast.RegExpLiteral:
		return checkRegExp(program, e)
	case *ast.UnaryExpression:
		if e.Operator == token.INCREMENT || e.Operator == token.DECREMENT || e.Operator == token.DELETE {
			return refuse(program, e, e.Operator.String())
		}
		return check(program, e.Operand)
	case *ast.BinaryExpression:
		return checkAll(program, e.Left, e.Right)
	case *ast.ConditionalExpression:
		return checkAll(program, e.Test, e.Consequent, e.Alternate)
	case *ast.ArrayLiteral:
		return checkAll(program, e.Value...)
	case *ast.DotExpression:
		if e.Identifier.Name != "length" {
			return refuse(program, e, "the property "+e.Identifier.Name.String())
		}
		return check(program, e.Left)
	case *ast.BracketExpression:
		if _, ok := e.Member.(*ast.NumberLiteral); !ok {
			return refuse(program, e, "an index that is not a number")
		}
		return checkAll(program, e.Left, e.Member)
	case *ast.CallExpression:
		return checkCall(program, e)
	case nil: // a hole in a list
		return nil
	}
	return refuse(program, e, "this part of JavaScript")
}

func checkAll(program *ast.Program, list ...ast.Expression) error {
	for _, e := range list {
		if err := check(program, e); err != nil {
			return err
		}
	}
	return nil
}

func checkCall(program *ast.Program, call *ast.CallExpression) error {
	switch callee := call.Callee.(type) {
	case *ast.Identifier:
		if !slices.Contains(functions, callee.Name.String()) {
			return refuse(program, call, "the function "+callee.Name.String())
		}
	case *ast.DotExpression:
		name := callee.Identifier.Name.String()
		if !slices.Contains(methods, name) {
			return refuse(program, call, "the method "+name)
		}
		if name == "replace" && !replacesLittle(call.ArgumentList) {
			return refuse(program, call, fmt.Sprintf("replace with anything but a text of up to %d bytes without $", maxReplacement))
		}
		if (name == "match" || name == "search") && !takesPattern(call.ArgumentList) {
			return refuse(program, call, name+" with anything but a pattern between slashes")
		}
		if err := check(program, callee.Left); err != nil {
			return err
		}
	default:
		return refuse(program, call, "a call of this")
	}
	return checkAll(program, call.ArgumentList...)
}

// replacesLittle tells whether the second argument of replace is short text.
func replacesLittle(arguments []ast.Expression) bool {
	if len(arguments) != 2 {
		return false
	}
	by, ok := arguments[1].(*ast.StringLiteral)
	if !ok {
		return false
	}
	text := by.Value.String()
	return len(text) <= maxReplacement && !strings.Contains(text, "$")
}

// takesPattern tells whether the only argument is a literal pattern. Text would become
// a pattern that nobody has looked at.
func takesPattern(arguments []ast.Expression) bool {
	if len(arguments) != 1 {
		return false
	}
	_, ok := arguments[0].(*ast.RegExpLiteral)
	return ok
}

// checkRegExp refuses patterns that need backtracking, whose time has no bound.
func checkRegExp(program *ast.Program, e *ast.RegExpLiteral) error {
	pattern, err := parser.TransformRegExp(e.Pattern, strings.Contains(e.Flags, "s"), strings.Contains(e.Flags, "u"))
	if err == nil {
		_, err = regexp.Compile(pattern)
	}
	if err != nil {
		return refuse(program, e, "a pattern with look-around or back references")
	}
	return nil
}
