// Package admin is the text console of a push node, MPush's line protocol on port
// 3002 (PROTOCOL section 7.1): a line is a command, every answer ends with an empty
// line. The commands that MPush has work as there; "push", "drain", "why", "nodes"
// and "kick" are new. No answer holds a secret.
package admin
