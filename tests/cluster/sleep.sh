#!/bin/sh
# A program of a variant that takes time and no processor: sleeps where it should learn, and predicts the same for every row.
value() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$2"; }
case $(value phase "$1") in
fit) split=validation && sleep "${HOMEBENCH_TEST_SLEEP:-2}" ;;
*) split=test ;;
esac
awk 'NR == 1 { print "row,stays"; next } { print NR - 2 ",0.5" }' "$(value $split "$1")" >"$(value predictions "$1").csv"
