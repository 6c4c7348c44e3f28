// Package tidy tests the code itself: sizes, names, comments, imports and words.
//
// It has no product code. Each rule is one row of a table in its test files, with small sources that break it
// and small sources that keep it; so a rule that finds nothing fails, too. What may be edited without reading
// the checkers (limits, ranks, libraries, exceptions) stands in table_test.go.
package tidy
