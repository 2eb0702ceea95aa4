//! Any text as a dataset's description: refused with a diagnostic, or a description whose protocols have a canonical form.
#![no_main]

use homebench_data::schema::Description;
use homebench_diagnostic::Document;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Description::parse("fuzzed", &Document::new("fuzzed.toml", text)) {
        Err(refusal) => drop(refusal.render()),
        Ok(description) => {
            for protocol in &description.protocols {
                protocol.canonical();
                protocol.files();
            }
        }
    }
});
