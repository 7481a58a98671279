package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// A condition is one expression out of a part of JavaScript that cannot do harm. The
// language as a whole can: one step of it, which no time limit interrupts, may take
// all memory or search for hours, and many a name leads back to the functions that do.
// What is left takes memory and time in proportion to the text and the facts.

// methods may be called on a value; none makes much out of little.
var methods = []string{
	"indexOf", "lastIndexOf", "includes", "startsWith", "endsWith", "charAt", "charCodeAt", "substring", "substr", "slice",
	"split", "match", "search", "test", "replace", "trim", "toLowerCase", "toUpperCase", "toString", "localeCompare",
	"floor", "ceil", "round", "abs", "min", "max", "random",
}

// functions may be called by their name.
var functions = []string{"parseInt", "parseFloat", "Number", "String", "Boolean", "isNaN", "isFinite"}

// maxReplacement bounds what replace puts in for a match, in bytes.
const maxReplacement = 32

// wrapper is the function that a condition becomes: its facts are the parameters.
const wrapper = "(function(userId,tags,clientVersion,osName,osVersion){return 0})"

// parse reads a condition, checks that it is of the part that is allowed and makes a
// program of it whose result is a function of the facts. The parser must not follow
// source maps: they name files of this machine.
func parse(text string) (*ast.Program, []*pattern, error) {
	program, err := parser.ParseFile(nil, "condition", text, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, nil, located(err)
	}
	if len(program.Body) != 1 {
		return nil, nil, errors.New("it must be one expression")
	}
	r := &reader{program: program}
	statement, ok := program.Body[0].(*ast.ExpressionStatement)
	if !ok {
		return nil, nil, r.refuse(program.Body[0], "a statement")
	}
	if err := r.check(statement.Expression); err != nil {
		return nil, nil, err
	}
	if r.weight(statement.Expression) > maxWeight {
		return nil, nil, r.refuse(statement, "putting so much text together")
	}
	return r.wrap(statement.Expression), r.patterns, nil
}

// located puts the place of a fault in front, as refuse does.
func located(err error) error {
	var list parser.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return fmt.Errorf("%d:%d: %s", list[0].Position.Line, list[0].Position.Column, list[0].Message)
	}
	return err
}

// reader goes through an expression.
type reader struct {
	program  *ast.Program
	patterns []*pattern
}

// wrap makes the expression the result of a function. What it says of places in the
// text is right for the expression, which is what an exception names.
func (r *reader) wrap(e ast.Expression) *ast.Program {
	program, err := parser.ParseFile(nil, "condition", wrapper, 0, parser.WithDisableSourceMaps)
	if err != nil {
		panic(err) // the text is a constant
	}
	function := program.Body[0].(*ast.ExpressionStatement).Expression.(*ast.FunctionLiteral)
	function.Body.List[0].(*ast.ReturnStatement).Argument = e
	program.File = r.program.File
	return program
}

// refuse says what is not allowed, and where it stands.
func (r *reader) refuse(at ast.Node, what string) error {
	p := r.program.File.Position(int(at.Idx0()) - r.program.File.Base())
	return fmt.Errorf("%d:%d: %s is not allowed; write one expression of comparisons, arithmetic, literals and the methods %s",
		p.Line, p.Column, what, strings.Join(methods, ", "))
}

// check descends into an expression. It puts calls that know patterns in the place of
// those that a pattern was written for.
func (r *reader) check(e ast.Expression) error {
	switch e := e.(type) {
	case *ast.Identifier, *ast.NullLiteral, *ast.BooleanLiteral, *ast.StringLiteral:
		return nil
	case *ast.NumberLiteral:
		if strings.HasSuffix(e.Literal, "n") {
			return r.refuse(e, "a BigInt")
		}
		return nil
	case *ast.RegExpLiteral:
		return r.refuse(e, "a pattern anywhere but in /…/.test(text), match, search, split and replace")
	case *ast.UnaryExpression:
		if e.Operator == token.INCREMENT || e.Operator == token.DECREMENT || e.Operator == token.DELETE {
			return r.refuse(e, e.Operator.String())
		}
		return r.check(e.Operand)
	case *ast.BinaryExpression:
		return r.checkAll(e.Left, e.Right)
	case *ast.ConditionalExpression:
		return r.checkAll(e.Test, e.Consequent, e.Alternate)
	case *ast.ArrayLiteral:
		return r.checkAll(e.Value...)
	case *ast.OptionalChain:
		return r.check(e.Expression)
	case *ast.Optional:
		return r.check(e.Expression)
	case *ast.DotExpression:
		if e.Identifier.Name != "length" {
			return r.refuse(&e.Identifier, "the property "+e.Identifier.Name.String())
		}
		return r.check(e.Left)
	case *ast.BracketExpression:
		if _, ok := e.Member.(*ast.NumberLiteral); !ok {
			return r.refuse(e.Member, "an index that is not a number")
		}
		return r.checkAll(e.Left, e.Member)
	case *ast.CallExpression:
		return r.checkCall(e)
	case nil: // a hole in a list
		return nil
	}
	return r.refuse(e, "this part of JavaScript")
}

func (r *reader) checkAll(list ...ast.Expression) error {
	for _, e := range list {
		if err := r.check(e); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) checkCall(call *ast.CallExpression) error {
	switch callee := call.Callee.(type) {
	case *ast.Identifier:
		if !slices.Contains(functions, callee.Name.String()) {
			return r.refuse(callee, "the function "+callee.Name.String())
		}
		return r.checkAll(call.ArgumentList...)
	case *ast.DotExpression:
		return r.checkMethod(call, callee)
	}
	return r.refuse(call, "a call of this")
}

func (r *reader) checkMethod(call *ast.CallExpression, callee *ast.DotExpression) error {
	name := callee.Identifier.Name.String()
	if !slices.Contains(methods, name) {
		return r.refuse(&callee.Identifier, "the method "+name)
	}
	if name == "test" {
		return r.checkTest(call, callee)
	}
	if err := r.check(callee.Left); err != nil {
		return err
	}
	switch name {
	case "replace":
		if !replacesLittle(call.ArgumentList) {
			return r.refuse(&callee.Identifier, fmt.Sprintf("replace with anything but a text of up to %d bytes without $", maxReplacement))
		}
	case "match", "search":
		if len(call.ArgumentList) != 1 || !isPattern(call.ArgumentList[0]) {
			// Text would become a pattern that nobody has looked at.
			return r.refuse(&callee.Identifier, name+" with anything but a pattern between slashes")
		}
	case "split":
	default:
		return r.checkAll(call.ArgumentList...)
	}
	if len(call.ArgumentList) == 0 || !isPattern(call.ArgumentList[0]) {
		return r.checkAll(call.ArgumentList...)
	}
	return r.checkPattern(call, callee, name)
}

// checkTest takes /pattern/.test(text).
func (r *reader) checkTest(call *ast.CallExpression, callee *ast.DotExpression) error {
	literal, ok := callee.Left.(*ast.RegExpLiteral)
	if !ok || len(call.ArgumentList) != 1 {
		return r.refuse(&callee.Identifier, "test but in /…/.test(text)")
	}
	if err := r.check(call.ArgumentList[0]); err != nil {
		return err
	}
	number, _, err := r.pattern(literal)
	if err != nil {
		return err
	}
	call.Callee = &ast.Identifier{Name: testCall, Idx: literal.Idx}
	call.ArgumentList = []ast.Expression{number, call.ArgumentList[0]}
	return nil
}

// checkPattern takes a method whose first argument is a pattern.
func (r *reader) checkPattern(call *ast.CallExpression, callee *ast.DotExpression, name string) error {
	literal := call.ArgumentList[0].(*ast.RegExpLiteral)
	number, p, err := r.pattern(literal)
	if err != nil {
		return err
	}
	if err := r.checkAll(call.ArgumentList[1:]...); err != nil {
		return err
	}
	all := name == "split" || p.global && name != "search"
	empty := name == "replace" && call.ArgumentList[1].(*ast.StringLiteral).Value == ""
	switch {
	case all && p.ahead == 0:
		return r.refuse(literal, name+" of all matches of a pattern that looks far ahead, as one with * or + before its end,")
	case all && p.nothing && !empty:
		return r.refuse(literal, name+" of all matches of a pattern that can match nothing")
	case name == "split" && (len(call.ArgumentList) > 1 || p.groups > 0):
		return r.refuse(literal, "split with a limit or with a pattern with groups")
	}
	callee.Identifier.Name = unistring.String("%" + name)
	call.ArgumentList[0] = number
	return nil
}

// pattern keeps a pattern; the number takes its place.
func (r *reader) pattern(literal *ast.RegExpLiteral) (*ast.NumberLiteral, *pattern, error) {
	p, err := newPattern(literal.Pattern, literal.Flags)
	if err != nil {
		return nil, nil, r.refuse(literal, err.Error())
	}
	number := int64(len(r.patterns))
	r.patterns = append(r.patterns, p)
	return &ast.NumberLiteral{Idx: literal.Idx, Literal: fmt.Sprint(number), Value: number}, p, nil
}

func isPattern(e ast.Expression) bool {
	_, ok := e.(*ast.RegExpLiteral)
	return ok
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
