// Package proxy makes HTTP requests on behalf of devices, which MPush calls the HTTP
// proxy. It goes only where a list of rules allows, and never to an address of the
// private network unless that is allowed as well: the address that is checked is the
// one that is dialled, so that no name can be changed in between.
//
// A caller admits a request, which is quick and never blocks, and runs it in a
// goroutine of its own. Everything is bounded: requests that run and wait, for one
// destination and in all, connections, time, headers, bodies and the memory of all
// answers together. What crosses a bound gets an answer that names it.
package proxy
