// Package hocon reads HOCON, the format of mpush.conf: JSON without most of its
// punctuation, with paths as keys, merging of objects, includes and substitutions.
//
// It reads all of the format that configuration files use, and what it does not
// understand is an error with file and line instead of a guess. Values stay the texts
// that were written, since what a text means, a time, a size or an address, is known
// only to who asks for it. Substitutions are looked up in the files, never in the
// environment, and one that is not found makes its value [Unresolved].
//
// Sizes, nesting and includes are bounded.
package hocon
