//! Any text as an expression: refused at a place inside it, or one whose canonical form reads back as itself.
#![no_main]

use homebench_data::expression::Expression;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let columns = ["word", "size", "or maybe"].map(String::from);
    match Expression::parse(text, &columns) {
        Err(refusal) => assert!(text.is_char_boundary(refusal.offset), "{refusal:?}"),
        Ok(expression) => {
            let canonical = expression.canonical(&columns);
            // The canonical form adds parentheses, which count as levels and words: it may be refused, but not be another.
            if let Ok(again) = Expression::parse(&canonical, &columns) {
                assert_eq!(again, expression, "{canonical}");
            }
        }
    }
});
