package config

import "github.com/fanfare-push/fanfare/settings"

// Problem is one thing wrong with the file, or with what is given in its place. It never
// holds a secret.
type Problem = settings.Problem

// Problems is every problem that was found, as an error with one line for each.
type Problems = settings.Problems
